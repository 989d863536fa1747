package roles_test

import (
	"net/netip"
	"strings"
	"testing"

	"muster/internal/manifest"
	"muster/internal/roles"
)

// The bundle of these tests: three masters, any number of agents and edges.
func bundle() []roles.Role {
	return []roles.Role{
		{Name: "master", Count: 3, Select: map[string]string{"class": "control"}},
		{Name: "agent", Select: map[string]string{"class": "compute"}},
		{Name: "edge", Select: map[string]string{"class": "compute", "net": "public"}},
		{Name: "nobody"},
	}
}

func listedAt(address string, role manifest.Role) roles.Listed {
	return roles.Listed{Address: netip.MustParseAddr(address), Role: role}
}

func listedAs(name string, role manifest.Role) roles.Listed {
	return roles.Listed{Name: name, Role: role}
}

func listedIn(prefix string, role manifest.Role) roles.Listed {
	return roles.Listed{Prefix: netip.MustParsePrefix(prefix), Role: role}
}

func mustSpec(t testing.TB, listed ...roles.Listed) *roles.Spec {
	t.Helper()
	s, err := roles.NewSpec(bundle(), listed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecide(t *testing.T) {
	compute := map[string]string{"class": "compute", "rack": "7"}
	for _, c := range []struct {
		name   string
		listed []roles.Listed
		host   roles.Candidate
		// want is empty when nothing decides; then why is a part of what Why says.
		want  manifest.Role
		why   string
		place int
	}{
		{
			name:   "the operator's word goes before the list, the token and the selector",
			listed: []roles.Listed{listedAt("10.0.0.1", "edge")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Labels: compute, Token: "agent", Operator: "master"},
			want:   "master", why: "the operator's word", place: -1,
		},
		{
			name:   "the operator's word gives the listed place, whatever the token",
			listed: []roles.Listed{listedAt("10.0.0.9", "master"), listedAt("10.0.0.1", "master")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Token: "agent", Operator: "master"},
			want:   "master", why: "the operator's word", place: 1,
		},
		{
			name:   "the list goes before the selector",
			listed: []roles.Listed{listedAt("10.0.0.1", "edge")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Labels: compute},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "a token that is bound to a role goes before the list: the address is the host's own word",
			listed: []roles.Listed{listedAt("10.0.0.1", "edge")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Labels: compute, Token: "agent"},
			want:   "agent", why: "the join token", place: -1,
		},
		{
			name: "the token goes before the selector",
			host: roles.Candidate{Address: addr("10.0.0.1"), Labels: compute, Token: "nobody"},
			want: "nobody", why: "the join token", place: -1,
		},
		{
			name: "a selector decides when nothing else does",
			host: roles.Candidate{Address: addr("10.0.0.1"), Labels: compute},
			want: "agent", why: "the role's selector", place: -1,
		},
		{
			name: "of two selectors that match, the role that the bundle names first has the host",
			host: roles.Candidate{Labels: map[string]string{"class": "compute", "net": "public"}},
			want: "agent", why: "the role's selector", place: -1,
		},
		{
			name: "a selector wants all of its labels",
			host: roles.Candidate{Labels: map[string]string{"net": "public"}},
			why:  "no selector matches",
		},
		{
			name: "a selector wants the label's value, not only its key",
			host: roles.Candidate{Labels: map[string]string{"class": "storage"}},
			why:  "no selector matches",
		},
		{
			name: "no selector gives a counted role: labels are the host's own word",
			host: roles.Candidate{Labels: map[string]string{"class": "control"}},
			why:  "no selector matches",
		},
		{
			name: "an empty selector takes nobody",
			host: roles.Candidate{Address: addr("10.0.0.1")},
			why:  "not listed",
		},
		{
			name:   "a host that is listed for a counted role has it by a token of that role",
			listed: []roles.Listed{listedAt("10.0.0.9", "master"), listedAt("10.0.0.1", "master")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Token: "master"},
			want:   "master", why: "the cluster config's list", place: 1,
		},
		{
			name:   "a host that is listed for a counted role is not given it without a token of that role",
			listed: []roles.Listed{listedAt("10.0.0.1", "master")},
			host:   roles.Candidate{Address: addr("10.0.0.1")},
			why:    "listed as master, but its token is not bound to that role",
		},
		{
			name:   "a host that is listed for a counted role and waits for it is taken by no selector",
			listed: []roles.Listed{listedAt("10.0.0.1", "master")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Labels: compute},
			why:    "listed as master, but its token is not bound to that role",
		},
		{
			name:   "a host that claims a master's address with an agent's token is an agent",
			listed: []roles.Listed{listedAt("10.0.0.1", "master")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Token: "agent"},
			want:   "agent", why: "the join token", place: -1,
		},
		{
			name:   "a host that is listed for a counted role has it and its place by the operator's word",
			listed: []roles.Listed{listedAt("10.0.0.9", "master"), listedAs("m1", "master")},
			host:   roles.Candidate{Name: "m1", Operator: "master"},
			want:   "master", why: "the operator's word", place: 1,
		},
		{
			name:   "a place in one role is no place in another",
			listed: []roles.Listed{listedAs("m1", "master")},
			host:   roles.Candidate{Name: "m1", Operator: "agent"},
			want:   "agent", why: "the operator's word", place: -1,
		},
		{
			name: "a token gives a counted role to a host that is not listed, but no place",
			host: roles.Candidate{Name: "m7", Token: "master"},
			want: "master", why: "the join token", place: -1,
		},
		{
			name:   "an open role keeps no places",
			listed: []roles.Listed{listedAs("a1", "agent")},
			host:   roles.Candidate{Name: "a1"},
			want:   "agent", why: "the cluster config's list", place: -1,
		},
		{
			name:   "names are compared without regard to case",
			listed: []roles.Listed{listedAs("Edge1.Example.COM", "edge")},
			host:   roles.Candidate{Name: "edge1.example.com"},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "an address goes before a name",
			listed: []roles.Listed{listedAs("h1", "agent"), listedAt("10.0.0.1", "edge")},
			host:   roles.Candidate{Name: "h1", Address: addr("10.0.0.1")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "an entry with an address and a name is found by the address alone",
			listed: []roles.Listed{{Name: "h1", Address: addr("10.0.0.1"), Role: "edge"}},
			host:   roles.Candidate{Name: "h1", Address: addr("10.0.0.2")},
			why:    "not listed",
		},
		{
			name:   "a name goes before a network",
			listed: []roles.Listed{listedIn("10.0.0.0/24", "agent"), listedAs("h1", "edge")},
			host:   roles.Candidate{Name: "h1", Address: addr("10.0.0.1")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "an IPv4 address inside an IPv6 one is the IPv4 address",
			listed: []roles.Listed{listedAt("10.0.0.1", "edge")},
			host:   roles.Candidate{Address: addr("::ffff:10.0.0.1")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "the longest prefix decides when it comes last",
			listed: []roles.Listed{listedIn("10.0.0.0/8", "agent"), listedIn("10.1.0.0/16", "nobody"), listedIn("10.1.2.0/24", "edge")},
			host:   roles.Candidate{Address: addr("10.1.2.3")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "the longest prefix decides when it comes first",
			listed: []roles.Listed{listedIn("10.1.2.0/24", "edge"), listedIn("10.1.0.0/16", "nobody"), listedIn("10.0.0.0/8", "agent")},
			host:   roles.Candidate{Address: addr("10.1.2.3")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "a shorter prefix decides outside the longer one",
			listed: []roles.Listed{listedIn("10.1.2.0/24", "edge"), listedIn("10.0.0.0/8", "agent")},
			host:   roles.Candidate{Address: addr("10.1.3.3")},
			want:   "agent", why: "the cluster config's list", place: -1,
		},
		{
			name:   "a prefix with bits of a host in it is the network",
			listed: []roles.Listed{listedIn("10.1.2.77/24", "edge")},
			host:   roles.Candidate{Address: addr("10.1.2.3")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "an IPv6 prefix longer than an IPv4 address says nothing of it",
			listed: []roles.Listed{listedIn("2001:db8::/64", "edge"), listedIn("0.0.0.0/0", "agent")},
			host:   roles.Candidate{Address: addr("10.0.0.1")},
			want:   "agent", why: "the cluster config's list", place: -1,
		},
		{
			name:   "an IPv6 host is found in its network",
			listed: []roles.Listed{listedIn("2001:db8::/64", "edge"), listedIn("0.0.0.0/0", "agent")},
			host:   roles.Candidate{Address: addr("2001:db8::1:2:3")},
			want:   "edge", why: "the cluster config's list", place: -1,
		},
		{
			name:   "a host is what its token says, wherever it says that it is listed",
			listed: []roles.Listed{listedAt("10.0.0.1", "edge"), listedAs("m1", "master")},
			host:   roles.Candidate{Name: "m1", Address: addr("10.0.0.1"), Labels: compute, Token: "agent"},
			want:   "agent", why: "the join token", place: -1,
		},
		{
			name:   "a token for a role keeps the place that is listed for it",
			listed: []roles.Listed{listedAt("10.0.0.9", "master"), listedAt("10.0.0.1", "master")},
			host:   roles.Candidate{Address: addr("10.0.0.1"), Token: "master"},
			want:   "master", why: "the cluster config's list", place: 1,
		},
		{
			name:   "a host without an address is in no network",
			listed: []roles.Listed{listedIn("0.0.0.0/0", "agent"), listedIn("::/0", "edge")},
			host:   roles.Candidate{Name: "h1"},
			why:    "not listed",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustSpec(t, c.listed...)
			got, ok := s.Decide(c.host)
			if !ok {
				if why := s.Why(c.host); c.want != "" || !strings.Contains(why, c.why) || !strings.Contains(why, "operator can assign it") {
					t.Fatalf("nothing decides: %s\nwant %q: %s", why, c.want, c.why)
				}
				return
			}
			want := roles.Decision{Role: c.want, Why: c.why, Place: c.place}
			if got != want {
				t.Fatalf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestASpecIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		listed []roles.Listed
		want   string
	}{
		{"when a listed host has a role that the bundle does not know", []roles.Listed{listedAs("h1", "mster")}, `"mster"`},
		{"when a listed host has no role", []roles.Listed{listedAs("h1", "")}, `""`},
		{
			"when more hosts are listed for a counted role than it has members",
			[]roles.Listed{listedAs("m1", "master"), listedAt("10.0.0.2", "master"), listedAs("m3", "master"), listedAs("m4", "master")},
			"more than 3 hosts are listed for role master",
		},
		{
			"when a network is listed for a counted role, because nobody knows how many hosts it has",
			[]roles.Listed{listedIn("10.0.0.0/24", "master")}, "10.0.0.0/24",
		},
		{
			"when an address is listed twice, whatever its form",
			[]roles.Listed{listedAt("10.0.0.1", "agent"), listedAt("::ffff:10.0.0.1", "edge")}, "listed twice: ::ffff:10.0.0.1",
		},
		{
			"when a name is listed twice, whatever its case",
			[]roles.Listed{listedAs("h1", "agent"), listedAs("H1", "agent")}, "listed twice: H1",
		},
		{
			"when a network is listed twice",
			[]roles.Listed{listedIn("10.0.0.0/24", "agent"), listedIn("10.0.0.9/24", "edge")}, "listed twice: 10.0.0.9/24",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := roles.NewSpec(bundle(), c.listed)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTheSpecKnowsItsRolesInTheBundlesOrder(t *testing.T) {
	s := mustSpec(t)
	var names []string
	for _, name := range s.Roles() {
		names = append(names, string(name))
		if r, ok := s.Role(name); !ok || r.Name != name {
			t.Errorf("role %s is %v, %v", name, r, ok)
		}
	}
	if got := strings.Join(names, " "); got != "master agent edge nobody" {
		t.Errorf("got %s", got)
	}
	if _, ok := s.Role("mster"); ok {
		t.Error("a role is known that the bundle does not have")
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
