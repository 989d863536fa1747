package coordinator

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/roles"
)

// generation is what the hosts are to install, with what the rules need of it worked out once.
type generation struct {
	g         *manifest.Generation
	manifests map[manifest.Role]*manifest.Manifest
	entries   map[manifest.Role]manifest.RoleEntry
	spec      *roles.Spec
	// refs are the late values that each role's artifacts name; rosters the counted roles among them.
	refs    map[manifest.Role][]string
	rosters map[manifest.Role][]manifest.Role
	// secrets are those that each role's artifacts use and may read.
	secrets map[manifest.Role][]manifest.Secret
	// awaited are the roles that another role comes after.
	awaited map[manifest.Role]bool
}

func newGeneration(g *manifest.Generation, manifests map[manifest.Role]*manifest.Manifest) (*generation, error) {
	n := &generation{
		g: g, manifests: manifests,
		entries: make(map[manifest.Role]manifest.RoleEntry),
		refs:    make(map[manifest.Role][]string),
		rosters: make(map[manifest.Role][]manifest.Role),
		awaited: make(map[manifest.Role]bool),
	}
	var rs []roles.Role
	for _, e := range g.Roles {
		m, ok := manifests[e.Name]
		if !ok {
			return nil, fmt.Errorf("the generation has no manifest for role %s", e.Name)
		}
		n.entries[e.Name] = e
		spread := e.Spread
		if spread == nil && len(e.Zones) > 0 {
			spread = &manifest.Spread{Label: zoneLabel}
		}
		rs = append(rs, roles.Role{Name: e.Name, Count: e.Count, Select: e.Select, Spread: spread, Zones: e.Zones, TakeOver: time.Duration(e.TakeOver), Upgrade: e.Upgrade})
		n.refs[e.Name] = late.Refs(m.Late)
		for _, before := range e.After {
			n.awaited[before] = true
		}
	}
	if err := n.findSecrets(); err != nil {
		return nil, err
	}
	for role, refs := range n.refs {
		for _, e := range g.Roles {
			if e.Count == 0 {
				continue
			}
			for _, ref := range refs {
				if strings.HasPrefix(ref, "Roster."+string(e.Name)+"[") {
					n.rosters[role] = append(n.rosters[role], e.Name)
					break
				}
			}
		}
	}
	var listed []roles.Listed
	for _, l := range g.Hosts {
		entry := roles.Listed{Name: l.Name, Role: l.Role, Labels: l.Labels}
		var err error
		if l.Address != "" {
			entry.Address, err = netip.ParseAddr(l.Address)
		}
		if err == nil && l.CIDR != "" {
			entry.Prefix, err = netip.ParsePrefix(l.CIDR)
		}
		if err != nil {
			return nil, fmt.Errorf("the generation lists a host wrongly: %w", err)
		}
		listed = append(listed, entry)
	}
	spec, err := roles.NewSpec(rs, listed)
	if err != nil {
		return nil, err
	}
	n.spec = spec
	return n, nil
}

// config is the beginning of the config id that plans begin with: see Service.plan.
func (n *generation) config() string { return string(n.g.ConfigID[:12]) }

// sources are where hosts fetch blobs, in the order of trying.
func (n *generation) sources() []string {
	var urls []string
	for _, address := range n.g.Coordinator.Addresses {
		urls = append(urls, "http://"+joinHostPort(address, n.g.Coordinator.HTTPPort))
	}
	return urls
}
