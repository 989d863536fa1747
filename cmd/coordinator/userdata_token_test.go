package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
)

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUserDataWithATokenThatThereIs(t *testing.T) {
	const token = "mt1.abcdefghijkl.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	f := fiveHosts()
	state := serveFake(t, f)
	file := filepath.Join(t.TempDir(), "token")
	writeText(t, file, token+"\n")
	warned := map[string]bool{"--token": true}
	for _, args := range [][]string{{"--token-file", file}, {"--token-file", "-"}, {"--token", token}} {
		out, errs, err := run(t.Context(), t, state, token+"\n", append([]string{"user-data"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), "no host can join with this token: expired") || out != "" {
			t.Errorf("%v: %q, %v", args[0], out, err)
		}
		if strings.Contains(errs, "warning: the join token is in the list of processes") != warned[args[0]] || strings.Contains(errs, token) {
			t.Errorf("%v: the standard error is %q", args[0], errs)
		}
	}
	if want := slices.Repeat([]string{"seed for " + token}, 3); !slices.Equal(f.calls, want) || len(f.tokens) > 0 {
		t.Errorf("calls: %q, %d tokens were made", f.calls, len(f.tokens))
	}
	for words, args := range map[string][]string{
		"exclude each other":       {"--token-file", file, "--token", token},
		"--role is for new tokens": {"--token-file", file, "--role", "agent"},
		"--uses is for new":        {"--token-file", file, "--uses", "2"},
		"--attest is for new":      {"--token-file", file, "--attest", "aws"},
		"--ttl is for new":         {"--token", token, "--ttl", "1h"},
	} {
		refused(t, state, words, append([]string{"user-data"}, args...)...)
	}
	for name, text := range map[string]string{"empty": "", "two": token + "\n" + token + "\n", "long": strings.Repeat("x", 1<<20)} {
		writeText(t, file, text)
		if _, _, err := run(t.Context(), t, state, "", "user-data", "--token-file", file); err == nil || !strings.Contains(err.Error(), "does not hold a join token and nothing else") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.calls) != 3 {
		t.Errorf("what is refused was asked for: %q", f.calls[3:])
	}
}

func TestUserDataSaysUntilWhenHostsCanJoin(t *testing.T) {
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	f := fiveHosts()
	f.listed = []*operatorv1.Token{{Id: "tk-0", MaxUses: 1}, {Id: "tk-1", Role: "agent", MaxUses: 20, Expires: timestamppb.New(until)}}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.Flags().String("state", serveFake(t, f), "")
	var said strings.Builder
	cmd.SetErr(&said)
	client, done, err := connect(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if err := tellToken(cmd, client, "tk-1"); err != nil {
		t.Fatal(err)
	}
	if want := "token tk-1, 20 of 20 uses left, until " + until.Local().Format(time.RFC3339) + ", role agent\n"; said.String() != want {
		t.Errorf("got %q, want %q", said.String(), want)
	}
}
