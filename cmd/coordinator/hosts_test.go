package main

import (
	"slices"
	"strings"
	"testing"
)

func TestApproveGivesARole(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	if out, _ := mustRun(t, state, "hosts", "approve", "host1", "--role", "agent"); out != "host1 (10.0.0.1) has the role agent\n" {
		t.Errorf("got %q", out)
	}
	refused(t, state, "--role", "hosts", "approve", "host1")
}

func TestRetryOfNamedHostsGoesOnAfterOneThatCannot(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	out, errs, err := run(t.Context(), t, state, "", "hosts", "retry", "host2", "host4")
	if err == nil || !strings.Contains(err.Error(), "1 of 2 hosts") {
		t.Errorf("got %v", err)
	}
	if out != "host4 (10.0.0.4) tries again (attempt 2)\n" || !strings.Contains(errs, "host2: host host2 has not failed") {
		t.Errorf("got %q and %q", out, errs)
	}
	refused(t, state, "--failed", "hosts", "retry")
	refused(t, state, "--failed", "hosts", "retry", "host1", "--failed")
}

func TestRetryFailedIsForAllThatFailedAndNoOthers(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	mustRun(t, state, "hosts", "retry", "--failed")
	if !slices.Equal(f.calls, []string{"retry h-4"}) {
		t.Errorf("calls: %q", f.calls)
	}
	f.hosts = f.hosts[:4]
	if out, errs := mustRun(t, state, "hosts", "retry", "--failed"); out != "" || errs != "no host has failed\n" {
		t.Errorf("got %q and %q", out, errs)
	}
}

func TestRemoveNeedsAYes(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	refused(t, state, "--yes", "hosts", "remove", "host4")
	if len(f.calls) > 0 {
		t.Fatalf("removed without a yes: %q", f.calls)
	}
	// One name that is wrong removes nothing.
	if _, _, err := run(t.Context(), t, state, "", "hosts", "remove", "--yes", "host4", "hsot3"); err == nil || len(f.calls) > 0 {
		t.Errorf("%v; calls: %q", err, f.calls)
	}
	if out, _ := mustRun(t, state, "hosts", "remove", "--yes", "host4", "10.0.0.3"); !strings.Contains(out, "host3 (10.0.0.3) was removed\n") {
		t.Errorf("got %q", out)
	}
	if !slices.Equal(f.calls, []string{"remove h-4", "remove h-3"}) {
		t.Errorf("calls: %q", f.calls)
	}
}

func TestReplaceNeedsAYesAndSaysWhoHasThePlaceAndWhatBecomesOfTheOther(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	refused(t, state, "--yes", "hosts", "replace", "host2")
	refused(t, state, "arg", "hosts", "replace", "--yes")
	refused(t, state, "arg", "hosts", "replace", "--yes", "host2", "host3")
	if len(f.calls) > 0 {
		t.Fatalf("replaced without a yes: %q", f.calls)
	}
	if _, _, err := run(t.Context(), t, state, "", "hosts", "replace", "--yes", "hsot2"); err == nil || len(f.calls) > 0 {
		t.Errorf("a mistyped name: %v; calls: %q", err, f.calls)
	}
	if _, _, err := run(t.Context(), t, state, "", "hosts", "replace", "--yes", "host2"); err == nil || !strings.Contains(err.Error(), "no spare waits") {
		t.Errorf("without a spare: %v", err)
	}
	f.calls = nil
	out, _ := mustRun(t, state, "hosts", "replace", "--yes", "10.0.0.2", "--by", "host1")
	if want := "host1 (10.0.0.1) takes the place master/0 of host2 (10.0.0.2)\nhost2 (10.0.0.2): it uninstalls as soon as it is heard of\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if !slices.Equal(f.calls, []string{"replace h-2 host1"}) {
		t.Errorf("calls: %q", f.calls)
	}
	for _, h := range f.hosts {
		h.Index = 1
	}
	if out, _ := mustRun(t, state, "hosts", "replace", "--yes", "host2", "--by", "host1"); !strings.Contains(out, "its bootstrap agent has left") || !strings.Contains(out, "install.sh --uninstall") {
		t.Errorf("of a host that nobody can tell it says %q", out)
	}
}

func TestAMistypedCommandIsWrongUsage(t *testing.T) {
	state := serveFake(t, fiveHosts())
	refused(t, state, "rmeove", "hosts", "rmeove", "host1")
	refused(t, state, "make", "token", "make")
	if out, _ := mustRun(t, state, "hosts"); !strings.Contains(out, "approve") {
		t.Errorf("without a command there is no help: %q", out)
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "yes": true, "": false, "\n": false, "no\n": false, "yesterday\n": false} {
		var asked strings.Builder
		got, err := confirm(strings.NewReader(answer), &asked, "Remove?")
		if err != nil || got != want || asked.String() != "Remove? [y/N] " {
			t.Errorf("%q: %v, %v after %q", answer, got, err, asked.String())
		}
	}
}
