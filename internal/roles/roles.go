// Package roles decides which host plays which role, and keeps the roster of the counted ones. It is data in, data out:
// no network, no files, no clock.
package roles

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
)

// Spec is what the bundle and the operator say of roles. It is built once for a generation.
type Spec struct {
	roles     map[manifest.Role]Role
	order     []manifest.Role
	byAddress map[netip.Addr]Listed
	byName    map[string]Listed
	byPrefix  map[netip.Prefix]Listed
	// lengths are those of the listed prefixes, the longest first.
	lengths []int
	// reserved are the listed hosts of each counted role.
	reserved map[manifest.Role][]Listed
}

// Role is one role with the rule that gives it to hosts which nothing else decides.
type Role struct {
	Name manifest.Role
	// Count is the number of members of a counted role, 0 for an open one.
	Count int
	// Select lists labels that a host must have, all of them; an empty one selects nobody.
	Select map[string]string
	// Spread keeps the members of a counted role apart; nil if it does not matter where they are.
	Spread *manifest.Spread
	// Zones are those that members are to be spread over, whether or not a host of each has come.
	Zones []string
	// TakeOver is how long a member of a counted role is not heard of before a spare takes its place, 0 for never.
	TakeOver time.Duration
	// Upgrade is how many of its hosts may be away at a time; nil if the bundle does not say.
	Upgrade *manifest.Upgrade
}

// Listed is a host, or all hosts of a prefix, that the cluster config names.
type Listed struct {
	Name    string
	Address netip.Addr
	Prefix  netip.Prefix
	Role    manifest.Role
	Labels  map[string]string
	// place is the index that is kept for this host in a counted role, else -1.
	place int
}

// Candidate is a host that wants a role, with every word that may decide it.
type Candidate struct {
	ID      hosts.ID
	Name    string
	Address netip.Addr
	Labels  map[string]string
	// Operator is the role by an operator's explicit word, Token the role that the join token is bound to.
	Operator manifest.Role
	Token    manifest.Role
}

// NewSpec checks that every listed host names a known role, that none is listed twice and that no counted role is listed
// beyond its count.
func NewSpec(rs []Role, listed []Listed) (*Spec, error) {
	s := &Spec{
		roles:     make(map[manifest.Role]Role, len(rs)),
		byAddress: make(map[netip.Addr]Listed),
		byName:    make(map[string]Listed),
		byPrefix:  make(map[netip.Prefix]Listed),
		reserved:  make(map[manifest.Role][]Listed),
	}
	for _, r := range rs {
		s.roles[r.Name] = r
		s.order = append(s.order, r.Name)
	}
	for _, l := range listed {
		if err := s.list(l); err != nil {
			return nil, err
		}
	}
	for prefix := range s.byPrefix {
		if !slices.Contains(s.lengths, prefix.Bits()) {
			s.lengths = append(s.lengths, prefix.Bits())
		}
	}
	slices.SortFunc(s.lengths, func(a, b int) int { return b - a })
	return s, nil
}

func (s *Spec) list(l Listed) error {
	role, known := s.roles[l.Role]
	if !known {
		return fmt.Errorf("role %q of a listed host is not in the bundle", l.Role)
	}
	l.place = -1
	if role.Count > 0 {
		taken := s.reserved[l.Role]
		switch {
		case l.Prefix.IsValid():
			return fmt.Errorf("the network %s is listed for role %s, which has %d members: list its hosts", l.Prefix, l.Role, role.Count)
		case len(taken) == role.Count:
			return fmt.Errorf("more than %d hosts are listed for role %s", role.Count, l.Role)
		}
		l.place = len(taken)
		s.reserved[l.Role] = append(taken, l)
	}
	var fresh bool
	switch {
	case l.Address.IsValid():
		fresh = put(s.byAddress, l.Address.Unmap(), l)
	case l.Prefix.IsValid():
		fresh = put(s.byPrefix, l.Prefix.Masked(), l)
	default:
		fresh = put(s.byName, strings.ToLower(l.Name), l)
	}
	if !fresh {
		return fmt.Errorf("a host is listed twice: %s", l)
	}
	return nil
}

// Reserved lists the hosts of a counted role that the cluster config keeps places for. The caller must not change it.
func (s *Spec) Reserved(role manifest.Role) []Listed { return s.reserved[role] }

func put[K comparable](m map[K]Listed, key K, l Listed) bool {
	_, twice := m[key]
	m[key] = l
	return !twice
}

func (l Listed) String() string {
	switch {
	case l.Address.IsValid():
		return l.Address.String()
	case l.Prefix.IsValid():
		return l.Prefix.String()
	}
	return l.Name
}

// Role looks a role up.
func (s *Spec) Role(name manifest.Role) (Role, bool) {
	r, ok := s.roles[name]
	return r, ok
}

// Roles lists the roles in the order of the bundle.
func (s *Spec) Roles() []manifest.Role { return s.order }

// Decision is a role with the reason why, and the place that the cluster config keeps for this host, or -1.
type Decision struct {
	Role  manifest.Role
	Why   string
	Place int
}

// Decide is the role of a candidate: by the operator's explicit word, the join token, the cluster config's list, the
// selectors, in this order. The second value is false when nothing decides.
//
// A host's address and name are its own word. So a token that is bound to a role gives that one, whatever the list says
// of a name that anybody with the token may claim; and a list entry gives a counted role only together with a token that
// is bound to that role or with the operator's word: else any host could name itself a master. Without either the host
// waits, and no selector makes it something that the list does not say.
func (s *Spec) Decide(c Candidate) (Decision, bool) {
	listed, isListed := s.listed(c)
	place := func(role manifest.Role) int {
		if isListed && listed.Role == role {
			return listed.place
		}
		return -1
	}
	counted := isListed && s.roles[listed.Role].Count > 0
	switch {
	case c.Operator != "":
		return Decision{Role: c.Operator, Why: "the operator's word", Place: place(c.Operator)}, true
	case c.Token != "" && !(isListed && listed.Role == c.Token):
		return Decision{Role: c.Token, Why: "the join token", Place: -1}, true
	case isListed && (!counted || c.Token != ""):
		return Decision{Role: listed.Role, Why: "the cluster config's list", Place: place(listed.Role)}, true
	case counted:
		return Decision{}, false
	}
	for _, name := range s.order {
		r := s.roles[name]
		if r.Count == 0 && matches(r.Select, c.Labels) {
			return Decision{Role: name, Why: "the role's selector", Place: -1}, true
		}
	}
	return Decision{}, false
}

// Why says in a sentence why nothing decided.
func (s *Spec) Why(c Candidate) string {
	if l, ok := s.listed(c); ok {
		return fmt.Sprintf("listed as %s, but its token is not bound to that role; an operator can assign it", l.Role)
	}
	return "not listed, its token is bound to no role and no selector matches; an operator can assign it"
}

// Labels are what the cluster config says of a listed host.
func (s *Spec) Labels(name string, address netip.Addr) map[string]string {
	l, _ := s.listed(Candidate{Name: name, Address: address})
	return l.Labels
}

func (s *Spec) listed(c Candidate) (Listed, bool) {
	address := c.Address.Unmap()
	if l, ok := s.byAddress[address]; ok {
		return l, true
	}
	if l, ok := s.byName[strings.ToLower(c.Name)]; ok {
		return l, true
	}
	// One look for each length: what a host costs does not grow with the list.
	for _, bits := range s.lengths {
		prefix, err := address.Prefix(bits)
		if err != nil {
			continue // longer than this address
		}
		if l, ok := s.byPrefix[prefix]; ok {
			return l, true
		}
	}
	return Listed{}, false
}

func matches(want, have map[string]string) bool {
	if len(want) == 0 {
		return false
	}
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
