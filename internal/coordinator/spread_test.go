package coordinator_test

import (
	"context"
	"testing"
	"time"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// joinIn enrols host number n as a master from a zone.
func (s *site) joinIn(zone string, n int) *host {
	s.Helper()
	a := numbered(n)
	a.token, a.key, a.zone = s.token("master", 1), newKey(s), zone
	c, err := s.apply(a)
	if err != nil {
		s.Fatal(err)
	}
	return &host{site: s, Credential: c, key: a.key, attempt: 1}
}

func TestASpreadRoleTakesSoManyOfAZone(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.generation.Roles[0].Spread = &manifest.Spread{Label: "zone", Max: 1} })
	first, second, third := s.joinIn("a", 1), s.joinIn("a", 2), s.joinIn("b", 3)
	for h, want := range map[*host]string{first: "master", second: "", third: "master"} {
		if got := s.describe(string(h.Host)).Role; got != want {
			t.Errorf("%s has the role %q, want %q", h.Host, got, want)
		}
	}
	wantWait(t, second.asks(), "the role is spread over the label zone, and 1 of at most 1 members have zone=a already")
	// The first again, as after a lost answer: it keeps its place.
	if first.asks().GetWait() != nil && s.describe(string(first.Host)).Role != "master" {
		t.Error("a member lost its place")
	}
}

func TestListedHostsAreMembersWhereverTheyAre(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) {
		s.generation.Roles[0].Spread = &manifest.Spread{Label: "zone", Max: 1}
		s.generation.Hosts = []manifest.Listed{{Address: "10.0.0.2", Role: "master"}, {Address: "10.0.0.3", Role: "master"}}
	})
	for _, n := range []int{1, 2} {
		if got := s.describe(string(s.joinIn("a", n).Host)).Role; got != "master" {
			t.Errorf("listed host %d has the role %q", n, got)
		}
	}
}

func TestMembersAreSpreadOverTheZonesOfTheConfigThoughNobodyOfSomeHasCome(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.generation.Roles[0].Zones = []string{"a", "b", "c"} })
	joined := map[*host]string{s.joinIn("a", 1): "master", s.joinIn("a", 2): "", s.joinIn("b", 3): "master", s.joinIn("a", 4): "", s.joinIn("c", 5): "master", s.joinIn("b", 6): ""}
	for h, want := range joined {
		if got := s.describe(string(h.Host)).Role; got != want {
			t.Errorf("%s has the role %q, want %q", s.describe(string(h.Host)).Name, got, want)
		}
	}
}

func TestFiveMembersInThreeZonesAreAtMostTwoOfEach(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) {
		s.generation.Roles[0].Count = 5
		s.generation.Roles[0].Zones = []string{"a", "b", "c"}
	})
	members := 0
	for n := range 5 {
		if s.describe(string(s.joinIn("a", n+1).Host)).Role == "master" {
			members++
		}
	}
	if members != 2 {
		t.Errorf("%d members in one zone, want 2", members)
	}
}

func TestASpareOfTheSameZoneReplacesAMember(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, func(s *site) { s.generation.Roles[0].Zones = []string{"a", "b", "c"} })
	s.joinIn("a", 1)
	s.joinIn("b", 2)
	s.joinIn("c", 3)
	s.joinIn("c", 4)
	_, err := s.core.Replace(context.Background(), operator, "node-1", "")
	wantFault(t, err, fault.Conflict, "node-4 waits, but the role is spread over the label zone, and 1 of at most 1 members have zone=c already")
	s.clock.advance(time.Second)
	spare := s.joinIn("a", 5)
	done, err := s.core.Replace(context.Background(), operator, "node-1", "")
	if err != nil || done.Spare != spare.Host || done.Index != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	// The operator's word counts for more than the spread.
	if _, err := s.core.Replace(context.Background(), operator, "node-2", "node-4"); err != nil {
		t.Error(err)
	}
}
