package hosts_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/hosts"
)

var update = flag.Bool("update", false, "write docs/phases.md instead of comparing it")

const page = `# Phases

Where a host stands in its life, as ` + "`coordinator status`" + ` shows it. Each host says where it stands; the coordinator
believes what this table allows and answers with one directive. Whatever is lost on the way, the next call repairs.

A host that nobody has heard of for a while is *lost* in whatever phase it is: that is a time, not a phase. In a phase
marked *working* silence means trouble.

| phase | what it means | working | the host may say next | the coordinator answers |
|---|---|---|---|---|
%s
Operators move a host where hosts cannot: ` + "`coordinator hosts approve`" + ` from enrolled to assigned,
` + "`coordinator hosts retry`" + ` from failed to assigned, or to ready if it was done before, with a new attempt, ` + "`coordinator hosts replace`" + `
from any phase to uninstalling, and ` + "`coordinator hosts remove`" + ` from any phase to removed. The coordinator itself moves a
host whose bootstrap agent has stayed from done to ready, with a new attempt, when it is its turn to take up late values that have
changed. What a host says of an older attempt is kept as a report and changes no phase.

This page is made from the code: ` + "`go test ./internal/hosts -update`" + `.
`

var meanings = map[hosts.Phase]string{
	hosts.Enrolled:     "it has an identity, and no role yet",
	hosts.Assigned:     "it has a role",
	hosts.Preflight:    "its preflight checks run; nothing on it is changed",
	hosts.Ready:        "preflight passed; it installs when its late values are known",
	hosts.Fetching:     "it fetches artifacts and verifies them",
	hosts.Installing:   "it unpacks, fills in late values and switches to the new generation",
	hosts.Starting:     "its units start",
	hosts.Postflight:   "its postflight checks run",
	hosts.Done:         "it is installed; the bootstrap agent removes itself, or stays (`resident: true`)",
	hosts.Failed:       "it stands still; the step, the reason and the remedy are kept",
	hosts.Uninstalling: "another host has its place: what is installed is taken away as soon as the host is heard of, and its data stays",
	hosts.Removed:      "its identity has ended, and its place is free",
}

func TestThePageOfPhasesIsWhatTheCodeSays(t *testing.T) {
	var rows strings.Builder
	for _, p := range hosts.Phases {
		if meanings[p] == "" {
			t.Errorf("nothing says what %s means", p)
		}
		working := ""
		if p.Busy() {
			working = "working"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", p, meanings[p], working, following(p), answer(p))
	}
	want := fmt.Sprintf(page, rows.String())
	path := filepath.Join("..", "..", "docs", "phases.md")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from what the code says; look at both, then go test ./internal/hosts -update\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func following(p hosts.Phase) string {
	var next []string
	for _, to := range hosts.Phases {
		if _, err := hosts.Observe(p, to); err == nil && to != p {
			next = append(next, string(to))
		}
	}
	if next == nil {
		return "nothing else"
	}
	return strings.Join(next, ", ")
}

// answer is what Next says with everything known, and with something missing where that makes a difference.
func answer(p hosts.Phase) string {
	if p == hosts.Removed {
		return "nothing: its calls are denied, with the word to leave"
	}
	var known []string
	answers := ""
	for _, where := range []struct {
		hosts.Surroundings
		words string
	}{
		{hosts.Surroundings{}, ""},
		{hosts.Surroundings{Missing: []string{"late values"}}, ", or while a late value is missing: "},
		{hosts.Surroundings{Stays: true}, ", or where it stays: "},
	} {
		if a := string(hosts.Next(hosts.Host{Phase: p}, where.Surroundings).Action); !slices.Contains(known, a) {
			known, answers = append(known, a), answers+where.words+a
		}
	}
	return answers
}
