package roles_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
)

// In whatever order hosts come and go, no value has more members than it may have, and hosts are turned away only when
// it does.
func TestNoValueHasMoreMembersThanItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 9).Draw(t, "count")
		spread := manifest.Spread{Label: "zone", Max: rapid.IntRange(0, 3).Draw(t, "max")}
		zones := []string{"a", "b", "c", "d", ""}[:rapid.IntRange(1, 5).Draw(t, "zones")]
		roster := roles.NewRoster(count)
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			if full := roster.Free() < count; full && rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
				roster = roster.Leave(roster[rapid.IntRange(0, count-1).Draw(t, "who")].Host)
				continue
			}
			m := roles.Member{
				Host: hosts.ID(fmt.Sprint("h", i)), Name: fmt.Sprint("n", i), Address: fmt.Sprint("10.0.0.", i),
				Domain: rapid.SampledFrom(zones).Draw(t, "zone"),
			}
			most := spread.Max
			if most == 0 {
				most = (count + len(zones) - 1) / len(zones)
			}
			before := in(roster, m.Domain)
			err := roster.Apart(m, spread, zones)
			var spreadErr *roles.SpreadError
			if refused := errors.As(err, &spreadErr); refused != (before >= most) {
				t.Fatalf("%d of at most %d members are in zone %q: %v", before, most, m.Domain, err)
			}
			if err != nil {
				continue
			}
			next, _, err := roster.Join(m, -1, nil)
			if err == nil {
				roster = next
			}
			if n := in(roster, m.Domain); n > most {
				t.Fatalf("%d members in zone %q, at most %d may be", n, m.Domain, most)
			}
			if roster.Apart(m, spread, zones) != nil && roster.Index(m.Host) >= 0 {
				t.Fatal("a member may not stay")
			}
		}
	})
}

// If hosts of every zone come, the role becomes complete: an even share never leaves places that nobody may take.
func TestAnEvenShareFillsTheRole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 9).Draw(t, "count")
		zones := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(t, "zones")]
		var waiting []roles.Member
		for i := range count * len(zones) {
			waiting = append(waiting, roles.Member{
				Host: hosts.ID(fmt.Sprint(i)), Name: fmt.Sprint("n", i), Address: fmt.Sprint("10.0.0.", i), Domain: zones[i%len(zones)],
			})
		}
		roster := roles.NewRoster(count)
		for _, m := range rapid.Permutation(waiting).Draw(t, "order") {
			if roster.Apart(m, manifest.Spread{Label: "zone"}, zones) != nil {
				continue
			}
			if next, _, err := roster.Join(m, -1, nil); err == nil {
				roster = next
			}
		}
		if !roster.Complete() {
			t.Fatalf("%d of %d places are free", roster.Free(), count)
		}
	})
}

func in(r roles.Roster, domain string) (n int) {
	for _, m := range r {
		if m.Host != "" && m.Domain == domain {
			n++
		}
	}
	return n
}

func TestSpreadErrorNamesTheLabel(t *testing.T) {
	roster := roles.Roster{{Host: "a", Domain: "z1"}, {Host: "b"}, {}}
	for domain, want := range map[string]string{
		"z1": "the role is spread over the label zone, and 1 of at most 1 members have zone=z1 already",
		"":   "the role is spread over the label zone, and 1 of at most 1 members have none already",
	} {
		if err := roster.Apart(roles.Member{Host: "c", Domain: domain}, manifest.Spread{Label: "zone", Max: 1}, nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v", domain, err)
		}
	}
}
