package coordinator_test

import (
	"testing"

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
