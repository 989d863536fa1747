package roles_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
)

// member is a host whose name and address are its own; "" is a free place.
func member(id string) roles.Member {
	if id == "" {
		return roles.Member{}
	}
	return roles.Member{Host: hosts.ID(id), Name: "name-" + id, Address: "address-" + id}
}

func rosterOf(ids ...string) roles.Roster {
	r := roles.NewRoster(len(ids))
	for i, id := range ids {
		r[i] = member(id)
	}
	return r
}

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		name   string
		roster roles.Roster
		host   string
		place  int
		// listed are the hosts that the cluster config keeps places for, from 0.
		listed []string
		want   roles.Roster
		index  int
		err    error
	}{
		{name: "the first host has the first place", roster: rosterOf("", "", ""), host: "a", place: -1, want: rosterOf("a", "", ""), index: 0},
		{name: "a gap is filled", roster: rosterOf("a", "", "c"), host: "b", place: -1, want: rosterOf("a", "b", "c"), index: 1},
		{name: "a host that is in it keeps its place", roster: rosterOf("", "", "a"), host: "a", place: -1, want: rosterOf("", "", "a"), index: 2},
		{
			name:   "a host that is in it keeps its place when the list has another for it",
			roster: rosterOf("", "", "a"), host: "a", place: 0, want: rosterOf("", "", "a"), index: 2,
		},
		{
			name:   "a host that is in it is in it though all places are taken",
			roster: rosterOf("a", "b", "c"), host: "b", place: -1, want: rosterOf("a", "b", "c"), index: 1,
		},
		{
			name:   "a host that finds all places taken is a spare",
			roster: rosterOf("a", "b", "c"), host: "d", place: -1, want: rosterOf("a", "b", "c"), index: -1, err: roles.ErrFull,
		},
		{name: "a role without places has no members", roster: rosterOf(), host: "a", place: -1, want: rosterOf(), index: -1, err: roles.ErrFull},
		{
			name:   "a host that is not listed takes no reserved place",
			roster: rosterOf("", "", ""), host: "a", place: -1, listed: []string{"x", "y"}, want: rosterOf("", "", "a"), index: 2,
		},
		{
			name:   "a host that is not listed is a spare when only reserved places are free",
			roster: rosterOf("", "b", ""), host: "a", place: -1, listed: []string{"x", "b", "y"}, want: rosterOf("", "b", ""), index: -1, err: roles.ErrFull,
		},
		{
			name:   "a place is reserved no longer when its host has come and has another",
			roster: rosterOf("", "x"), host: "a", place: -1, listed: []string{"x"}, want: rosterOf("a", "x"), index: 0,
		},
		{
			name:   "a listed host has the place that is kept for it",
			roster: rosterOf("", "", ""), host: "a", place: 1, listed: []string{"x", "a"}, want: rosterOf("", "a", ""), index: 1,
		},
		{
			name:   "a listed host whose place was taken before it was listed has one that nobody is listed for",
			roster: rosterOf("x", "", ""), host: "a", place: 0, listed: []string{"a", "y"}, want: rosterOf("x", "", "a"), index: 2,
		},
		{
			name:   "a listed host whose place was taken because the list was reordered has the one that is left",
			roster: rosterOf("a", "b", ""), host: "c", place: 0, listed: []string{"c", "a", "b"}, want: rosterOf("a", "b", "c"), index: 2,
		},
		{
			name:   "a listed host is a spare when strangers have every place",
			roster: rosterOf("x", "y", "z"), host: "a", place: 0, listed: []string{"a"}, want: rosterOf("x", "y", "z"), index: -1, err: roles.ErrFull,
		},
		{
			name:   "a listed place beyond the roster is no place",
			roster: rosterOf("", ""), host: "a", place: 5, want: rosterOf("a", ""), index: 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.roster)
			var listed []roles.Listed
			for _, id := range c.listed {
				listed = append(listed, listedAs(strings.ToUpper("name-"+id), "master"))
			}
			got, index, err := c.roster.Join(member(c.host), c.place, mustSpec(t, listed...).Reserved("master"))
			if !errors.Is(err, c.err) || index != c.index || !slices.Equal(got, c.want) {
				t.Fatalf("got %v, index %d, %v\nwant %v, index %d, %v", got, index, err, c.want, c.index, c.err)
			}
			if !slices.Equal(c.roster, before) {
				t.Fatalf("the roster before the call is now %v", c.roster)
			}
		})
	}
}

func TestTwoMembersNeverShareANameOrAnAddress(t *testing.T) {
	for _, c := range []struct {
		name string
		host roles.Member
	}{
		{"the same address", roles.Member{Host: "b", Name: "name-b", Address: "address-a"}},
		{"the same name", roles.Member{Host: "b", Name: "name-a", Address: "address-b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, index, err := rosterOf("a", "").Join(c.host, -1, nil)
			if !errors.Is(err, roles.ErrAddress) || index != -1 || !slices.Equal(got, rosterOf("a", "")) {
				t.Fatalf("got %v, %d, %v", got, index, err)
			}
			if !strings.Contains(err.Error(), "name-a at address-a") {
				t.Fatalf("the error does not say who has it: %v", err)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	r := rosterOf("a", "b", "c")
	if got := r.Leave("b"); !slices.Equal(got, rosterOf("a", "", "c")) {
		t.Errorf("after b left: %v", got)
	}
	if got := r.Leave("d"); !slices.Equal(got, r) {
		t.Errorf("after a stranger left: %v", got)
	}
	if got := rosterOf("a", "").Leave(""); !slices.Equal(got, rosterOf("a", "")) {
		t.Errorf("after nobody left: %v", got)
	}
	if !slices.Equal(r, rosterOf("a", "b", "c")) {
		t.Errorf("the roster before the calls is now %v", r)
	}
}

func TestIndexFreeAndComplete(t *testing.T) {
	r := rosterOf("a", "", "c")
	if r.Index("a") != 0 || r.Index("c") != 2 || r.Index("x") != -1 || r.Index("") != -1 {
		t.Errorf("indices %d %d %d %d", r.Index("a"), r.Index("c"), r.Index("x"), r.Index(""))
	}
	if r.Free() != 1 || r.Complete() {
		t.Errorf("%d free, complete %v", r.Free(), r.Complete())
	}
	if r := rosterOf("a", "b"); r.Free() != 0 || !r.Complete() {
		t.Errorf("%d free, complete %v", r.Free(), r.Complete())
	}
}

func TestResize(t *testing.T) {
	for _, c := range []struct {
		name   string
		roster roles.Roster
		count  int
		want   roles.Roster
		err    string
	}{
		{"no roster yet gives an empty one", nil, 3, rosterOf("", "", ""), ""},
		{"more places are added at the end", rosterOf("a", "b"), 4, rosterOf("a", "b", "", ""), ""},
		{"free places at the end go", rosterOf("a", "", "", ""), 2, rosterOf("a", ""), ""},
		{"a place with a member is never given up, though others are free", rosterOf("a", "", "c"), 2, rosterOf("a", "", "c"), "name-c has place 2, and only 2 are wanted: remove the host first"},
		{"the same count changes nothing", rosterOf("a", ""), 2, rosterOf("a", ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.roster.Resize(c.count)
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestPlacesAreReservedForListedHostsUntilTheyCome(t *testing.T) {
	s := mustSpec(t, listedAs("m1", "master"), listedAs("a1", "agent"), listedAt("::ffff:10.0.0.2", "master"), listedIn("10.0.0.0/8", "agent"))
	for _, role := range []manifest.Role{"agent", "edge", "unknown"} {
		if got := s.Reserved(role); len(got) != 0 {
			t.Errorf("%s: %v", role, got)
		}
	}
	reserved := s.Reserved("master")
	stranger := roles.Member{Host: "s", Name: "s", Address: "10.0.0.9"}
	r, index, err := roles.NewRoster(3).Join(stranger, -1, reserved)
	if err != nil || index != 2 {
		t.Fatalf("a stranger has place %d, %v", index, err)
	}
	for place, c := range []roles.Candidate{
		{ID: "m1", Name: "m1", Address: addr("10.0.0.1"), Token: "master"},
		{ID: "m2", Name: "m2", Address: addr("10.0.0.2"), Token: "master"},
	} {
		d, ok := s.Decide(c)
		if !ok || d.Place != place {
			t.Fatalf("%s: %+v, want place %d", c.Name, d, place)
		}
		if r, index, err = r.Join(roles.Member{Host: c.ID, Name: c.Name, Address: c.Address.String()}, d.Place, reserved); err != nil || index != place {
			t.Fatalf("%s has place %d, %v", c.Name, index, err)
		}
	}
	// m2, listed by its address, sits at 1. Once the list names it first, 0 is its own no longer.
	moved := mustSpec(t, listedAt("::ffff:10.0.0.2", "master")).Reserved("master")
	if _, index, err = r.Leave("m1").Join(roles.Member{Host: "n", Name: "n", Address: "10.0.0.8"}, -1, moved); err != nil || index != 0 {
		t.Fatalf("the place of a host that came to another: %d, %v", index, err)
	}
}
