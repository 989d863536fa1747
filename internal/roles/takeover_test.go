package roles_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const patience = 10 * time.Minute

// well is a member that has been heard of for long, gone one that was heard of last so long ago.
func well(id hosts.ID) roles.Standing {
	return roles.Standing{Host: id, Heard: noon.Add(-20 * time.Second), Steady: noon.Add(-time.Hour), Done: true}
}

func gone(id hosts.ID, ago time.Duration) roles.Standing {
	return roles.Standing{Host: id, Heard: noon.Add(-ago), Steady: noon.Add(-time.Hour), Done: true}
}

func TestOverdue(t *testing.T) {
	since := func(s roles.Standing, steady time.Duration) roles.Standing {
		s.Steady = noon.Add(-steady)
		return s
	}
	joining := func(s roles.Standing) roles.Standing { s.Done = false; return s }
	left := func(id hosts.ID) roles.Standing { return roles.Standing{Host: id, Done: true, Silent: true} }
	for _, c := range []struct {
		name    string
		members []roles.Standing
		want    hosts.ID
	}{
		{"nobody, where all are heard of", []roles.Standing{well("a"), well("b"), well("c")}, ""},
		{"the one that was not heard of for long enough", []roles.Standing{well("a"), gone("b", 10*time.Minute), well("c")}, "b"},
		{"nobody before that time", []roles.Standing{well("a"), gone("b", 10*time.Minute-1), well("c")}, ""},
		{"one that was never heard of since this coordinator began", []roles.Standing{well("a"), {Host: "b", Done: true}, well("c")}, "b"},
		{"one that was lost in its installation", []roles.Standing{well("a"), joining(gone("b", time.Hour)), well("c")}, "b"},
		{"nobody, where two are not heard of", []roles.Standing{well("a"), gone("b", time.Hour), gone("c", time.Hour)}, ""},
		{"nobody of five, where two are not heard of: an operator decides", []roles.Standing{well("a"), gone("b", time.Hour), gone("c", time.Hour), well("d"), well("e")}, ""},
		{"nobody, where the coordinator was cut off from the others too", []roles.Standing{since(well("a"), time.Minute), gone("b", time.Hour), well("c")}, ""},
		{"one of five, though one of the others has just come back", []roles.Standing{since(well("a"), time.Minute), gone("b", time.Hour), well("c"), well("d"), well("e")}, "b"},
		{"nobody while another is not done", []roles.Standing{joining(well("a")), gone("b", time.Hour), well("c"), well("d"), well("e")}, ""},
		{"nobody while another has been silent for a while and the rest is no majority", []roles.Standing{gone("a", 2*time.Minute), gone("b", time.Hour), well("c")}, ""},
		{"nobody while a place is free", []roles.Standing{well("a"), gone("b", time.Hour), {}}, ""},
		{"nobody whose bootstrap agent has left", []roles.Standing{well("a"), left("b"), well("c")}, ""},
		{"nobody, where the bootstrap agents of the others have left", []roles.Standing{left("a"), gone("b", time.Hour), left("c")}, ""},
		{"nobody of a role of one", []roles.Standing{gone("a", time.Hour)}, ""},
		{"nobody of a role of two", []roles.Standing{gone("a", time.Hour), well("b")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := roles.Overdue(c.members, patience, noon); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever the members are, nobody is replaced who was heard of in time, and only beside a majority that is well.
func TestNobodyIsOverdueWithoutAMajorityThatIsWell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minutes := rapid.IntRange(0, 30)
		members := make([]roles.Standing, rapid.IntRange(1, 9).Draw(t, "count"))
		sound := 0
		for i := range members {
			heard := time.Duration(minutes.Draw(t, "heard")) * time.Minute
			steady := heard + time.Duration(minutes.Draw(t, "steady"))*time.Minute
			members[i] = roles.Standing{
				Host: hosts.ID(fmt.Sprint(i)), Heard: noon.Add(-heard), Steady: noon.Add(-steady),
				Done: rapid.Bool().Draw(t, "done"), Silent: rapid.IntRange(0, 9).Draw(t, "silent") == 0,
			}
			if heard <= roles.Fresh && steady >= patience && members[i].Done && !members[i].Silent {
				sound++
			}
		}
		got := roles.Overdue(members, patience, noon)
		if got == "" {
			return
		}
		for _, m := range members {
			if m.Host == got && (noon.Sub(m.Heard) < patience || m.Silent) {
				t.Fatalf("%+v is overdue", m)
			}
		}
		if 2*sound <= len(members) {
			t.Fatalf("%s is overdue with %d of %d well: %+v", got, sound, len(members), members)
		}
	})
}

func TestAtATime(t *testing.T) {
	for _, c := range []struct {
		name  string
		role  roles.Role
		hosts int
		want  int
	}{
		{"one of a counted role", roles.Role{Count: 5}, 5, 1},
		{"what its bundle says of a counted role", roles.Role{Count: 5, Upgrade: &manifest.Upgrade{MaxUnavailable: 2}}, 5, 2},
		{"a tenth of an open role", roles.Role{}, 250, 25},
		{"one of an open role that is small", roles.Role{}, 7, 1},
		{"a hundred of an open role that is large", roles.Role{}, 50_000, 100},
		{"as many as the bundle says of an open role", roles.Role{Upgrade: &manifest.Upgrade{MaxUnavailable: 500}}, 50_000, 500},
		{"as many percent as the bundle says", roles.Role{Upgrade: &manifest.Upgrade{MaxPercent: 20}}, 50_000, 10_000},
		{"one, where the bundle's percentage is less", roles.Role{Upgrade: &manifest.Upgrade{MaxPercent: 20}}, 3, 1},
		{"one of a role that says only when its turn is", roles.Role{Count: 3, Upgrade: &manifest.Upgrade{Order: 2}}, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := roles.AtATime(c.role, c.hosts); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
