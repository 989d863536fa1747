package main

import (
	"slices"
	"strings"
	"testing"
)

func TestUserDataByAttestationAsksForAPolicy(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	for _, args := range [][]string{
		{"user-data", "--role", "agent", "--attest", "aws"},
		{"user-data", "--attest", "aws:workers"},
		{"user-data", "--role", "agent", "--attest", "aws:workers"},
	} {
		if _, _, err := run(t.Context(), t, state, "", args...); err == nil || !strings.Contains(err.Error(), "there are no policies") {
			t.Errorf("%v: %v", args, err)
		}
	}
	want := []string{"seed for policy , role agent", "seed for policy workers, role ", "seed for policy workers, role agent"}
	if !slices.Equal(f.calls, want) || len(f.tokens) != 0 {
		t.Errorf("calls: %q, %d tokens", f.calls, len(f.tokens))
	}
	for words, args := range map[string][]string{
		"write aws, or aws:POLICY": {"--attest", "gcp"},
		`--attest "aws:"`:          {"--attest", "aws:"},
		"--role ROLE":              {"--attest", "aws"},
		"--uses is for tokens":     {"--attest", "aws:workers", "--uses", "3"},
		"--ttl is for tokens":      {"--attest", "aws:workers", "--ttl", "1h"},
		"--cidr is for tokens":     {"--attest", "aws:workers", "--cidr", "10.0.0.0/8"},
		"--label is for tokens":    {"--attest", "aws:workers", "--label", "a=b"},
	} {
		refused(t, state, words, append([]string{"user-data"}, args...)...)
	}
}

func TestAnInstanceIsReadmittedByItsAccountAndID(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	out, _ := mustRun(t, state, "hosts", "readmit", "123456789012/i-0123456789abcdef0")
	if out != "123456789012/i-0123456789abcdef0 may join once more\n" || !slices.Equal(f.calls, []string{"readmit 123456789012 i-0123456789abcdef0"}) {
		t.Errorf("it says %q after %q", out, f.calls)
	}
}
