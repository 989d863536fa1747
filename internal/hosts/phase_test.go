package hosts_test

import (
	"errors"
	"strings"
	"testing"

	"muster/internal/hosts"
	syncv1 "muster/proto/muster/sync/v1"
)

// matrix is the whole table of transitions: "x" where a host that stands at the row's phase may say the column's. It is
// written out so that a change of the rules is a change here that somebody reads. Columns are in the order of Phases.
const matrix = `
             enr ass pre rea fet ins sta pos don fai uni rem
enrolled      x   .   .   .   .   .   .   .   .   .   .   .
assigned      .   x   x   x   .   .   .   .   .   x   .   .
preflight     .   .   x   x   .   .   .   .   .   x   .   .
ready         .   .   x   x   x   x   x   x   x   x   .   .
fetching      .   .   .   .   x   x   x   x   x   x   .   .
installing    .   .   .   .   x   x   x   x   x   x   .   .
starting      .   .   .   .   x   x   x   x   x   x   .   .
postflight    .   .   .   .   x   x   x   x   x   x   .   .
done          .   .   .   .   .   .   .   .   x   .   .   .
failed        .   .   .   .   .   .   .   .   .   x   .   .
uninstalling  .   .   .   .   .   .   .   .   .   .   x   x
removed       .   .   .   .   .   .   .   .   .   .   .   x
`

func TestEveryTransitionIsAsWritten(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(matrix), "\n")
	if columns := strings.Fields(lines[0]); len(columns) != len(hosts.Phases) || len(lines) != len(hosts.Phases)+1 {
		t.Fatalf("the matrix has %d columns and %d rows for %d phases", len(columns), len(lines)-1, len(hosts.Phases))
	}
	for i, line := range lines[1:] {
		cells := strings.Fields(line)
		from := hosts.Phases[i]
		if cells[0] != string(from) {
			t.Fatalf("row %d is %s, the phase is %s", i, cells[0], from)
		}
		for j, to := range hosts.Phases {
			allowed := cells[j+1] == "x"
			got, err := hosts.Observe(from, to)
			switch {
			case allowed && (err != nil || got != to):
				t.Errorf("from %s to %s should be allowed: %s, %v", from, to, got, err)
			case !allowed && (err == nil || got != from):
				t.Errorf("from %s to %s should be refused and change nothing: %s, %v", from, to, got, err)
			}
		}
	}
}

func TestARefusedTransitionSaysBothPhases(t *testing.T) {
	_, err := hosts.Observe(hosts.Done, hosts.Fetching)
	var refused *hosts.ErrTransition
	if !errors.As(err, &refused) || refused.From != hosts.Done || refused.To != hosts.Fetching {
		t.Fatalf("got %#v", err)
	}
	if err.Error() != "a host that is done cannot be fetching" {
		t.Errorf("got %q", err)
	}
}

func TestAnUnknownPhaseIsRefused(t *testing.T) {
	for _, from := range hosts.Phases {
		for _, to := range []hosts.Phase{"", "lost", "DONE"} {
			if got, err := hosts.Observe(from, to); err == nil || got != from {
				t.Errorf("from %s to %q: %s, %v", from, to, got, err)
			}
		}
	}
}

func TestPhasesListsEachOnce(t *testing.T) {
	const want = "enrolled assigned preflight ready fetching installing starting postflight done failed uninstalling removed"
	var names []string
	for _, p := range hosts.Phases {
		names = append(names, string(p))
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAHostIsBusyWhileSilenceMeansTrouble(t *testing.T) {
	busy := map[hosts.Phase]bool{
		hosts.Assigned: true, hosts.Preflight: true, hosts.Fetching: true, hosts.Installing: true, hosts.Starting: true,
		hosts.Postflight: true, hosts.Uninstalling: true,
	}
	for _, p := range hosts.Phases {
		if p.Busy() != busy[p] {
			t.Errorf("%s: busy is %v", p, p.Busy())
		}
	}
}

func TestTallyCountsByTheNagiosNumbers(t *testing.T) {
	h := hosts.Host{Checks: map[string]hosts.CheckStatus{"a": 0, "b": 0, "c": 0, "d": 1, "e": 2, "f": 2, "g": 3, "h": 17, "i": -1}}
	ok, warning, critical, unknown := h.Tally()
	if ok != 3 || warning != 1 || critical != 2 || unknown != 3 {
		t.Errorf("got %d ok, %d warning, %d critical, %d unknown", ok, warning, critical, unknown)
	}
}

func TestPhasesHaveTheNumbersOfTheProtocol(t *testing.T) {
	if known, told := len(hosts.Phases), len(syncv1.Phase_name)-1; known != told {
		t.Errorf("there are %d phases, the protocol has %d", known, told)
	}
	for _, p := range hosts.Phases {
		if n := syncv1.Phase(p.Number()); n.String() != "PHASE_"+strings.ToUpper(string(p)) {
			t.Errorf("%s is %v", p, n)
		}
		if back := hosts.Numbered(p.Number()); back != p {
			t.Errorf("the number of %s is that of %s", p, back)
		}
	}
	if n := hosts.Phase("nonsense").Number(); n != 0 {
		t.Errorf("nonsense is %d", n)
	}
	for _, n := range []int{-1, 0, len(hosts.Phases) + 1} {
		if p := hosts.Numbered(n); p != "" {
			t.Errorf("%d is %s", n, p)
		}
	}
}
