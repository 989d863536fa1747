package coordinator

import (
	"slices"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
)

// zoneLabel is the label that says in which zone a host is.
const zoneLabel = "zone"

// domain is the host's value of the label that a role is spread over.
func domain(h hosts.Host, s *manifest.Spread) string {
	if s == nil {
		return ""
	}
	return h.Facts.Labels[s.Label]
}

// apart is nil when the member may join its role as far as the spread goes. Hosts that the operator has named have
// their place wherever they are.
func (s *Service) apart(roster roles.Roster, m roles.Member, role roles.Role, d roles.Decision, operator manifest.Role) error {
	if role.Spread == nil || operator != "" || d.Place >= 0 {
		return nil
	}
	if err := role.Outside(m); err != nil {
		return err
	}
	known := slices.Clone(role.Zones)
	for _, l := range s.gen.g.Hosts {
		if v := l.Labels[role.Spread.Label]; v != "" && l.Role == role.Name && !slices.Contains(known, v) {
			known = append(known, v)
		}
	}
	return roster.Apart(m, *role.Spread, known)
}
