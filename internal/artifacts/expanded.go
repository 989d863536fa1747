package artifacts

import (
	"bytes"
	"encoding/json"

	"muster/internal/config"
	"muster/internal/manifest"
)

// expanded is the cluster config with every default filled in, in the words of cluster.yaml. It names nothing of the
// machine that it was read on.
type expanded struct {
	Cluster     string                         `json:"cluster"`
	Bundle      manifest.Bundle                `json:"bundle"`
	Coordinator manifest.Coordinator           `json:"coordinator"`
	Roles       map[manifest.Role]expandedRole `json:"roles"`
	Hosts       []manifest.Listed              `json:"hosts"`
	// Parameters have config.Masked for those that the bundle marks as writeOnly. No template sees their values, so what is
	// generated does not depend on them; and a digest over one, such as the config id, could be used to guess it.
	Parameters map[string]any     `json:"parameters"`
	SSH        manifest.SSH       `json:"ssh"`
	Endpoint   string             `json:"endpoint"`
	Discovery  config.Discovery   `json:"discovery"`
	Resident   bool               `json:"resident"`
	Address    manifest.Detection `json:"address"`
	Signing    *manifest.Signing  `json:"signing,omitempty"`

	Attestation *manifest.Attestation `json:"attestation,omitempty"`
}

type expandedRole struct {
	Count             int               `json:"count,omitempty"`
	Select            map[string]string `json:"select,omitempty"`
	AllowSharedTokens bool              `json:"allow_shared_tokens,omitempty"`
	Zones             []string          `json:"zones,omitempty"`
	TakeOver          manifest.Span     `json:"take_over,omitzero"`
}

func expand(c *config.Cluster) expanded {
	e := expanded{
		Cluster: c.Name,
		Bundle:  manifest.Bundle{Name: c.Bundle.Name, Version: c.Bundle.Version},
		Coordinator: manifest.Coordinator{
			Addresses: c.Coordinator.Addresses, HTTPPort: c.Coordinator.HTTPPort, GRPCPort: c.Coordinator.GRPCPort,
		},
		Roles:      map[manifest.Role]expandedRole{},
		Hosts:      []manifest.Listed{},
		Parameters: c.Bundle.Conceal(c.Parameters, func(string) any { return config.Masked }),
		SSH:        manifest.SSH{User: c.SSH.User, Port: c.SSH.Port},
		Endpoint:   c.Endpoint,
		Discovery:  c.Discovery,
		Resident:   c.Resident,
		Address:    manifest.Detection{Interface: c.Address.Interface},
		Signing:    c.Signing,

		Attestation: c.Attestation,
	}
	if c.Address.CIDR.IsValid() {
		e.Address.CIDR = c.Address.CIDR.String()
	}
	for _, r := range c.Bundle.Roles {
		said := c.Roles[r.Name]
		e.Roles[r.Name] = expandedRole{
			Count: said.Count, Select: said.Select, AllowSharedTokens: said.AllowSharedTokens, Zones: said.Zones, TakeOver: manifest.Span(said.TakeOver),
		}
	}
	for _, h := range c.Hosts {
		listed := manifest.Listed{Name: h.Name, Role: h.Role, Labels: h.Labels}
		if h.Address.IsValid() {
			listed.Address = h.Address.String()
		}
		if h.CIDR.IsValid() {
			listed.CIDR = h.CIDR.String()
		}
		e.Hosts = append(e.Hosts, listed)
	}
	return e
}

// saysTheSame compares a generation with the config.json that was written with it. Nothing else has a digest over what
// generation.json says of the cluster, unless the generation is signed.
func saysTheSame(g *manifest.Generation, path string) bool {
	data, err := readAtMost(path, maxGeneration)
	var written expanded
	if err != nil || json.Unmarshal(data, &written) != nil {
		return false
	}
	stated := written
	stated.Cluster, stated.Bundle, stated.Coordinator, stated.SSH = g.Cluster, g.Bundle, g.Coordinator, g.SSH
	stated.Endpoint, stated.Resident, stated.Address, stated.Signing, stated.Attestation = g.Endpoint, g.Resident, g.Address, g.Signing, g.Attestation
	stated.Hosts = append([]manifest.Listed{}, g.Hosts...)
	stated.Roles = map[manifest.Role]expandedRole{}
	for _, r := range g.Roles {
		stated.Roles[r.Name] = expandedRole{
			Count: r.Count, Select: r.Select, AllowSharedTokens: r.AllowSharedTokens, Zones: r.Zones, TakeOver: r.TakeOver,
		}
	}
	a, errA := json.Marshal(written)
	b, errB := json.Marshal(stated)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// zoneLabel is the label that says in which zone a host is.
const zoneLabel = "zone"

// roster gives the members of all counted roles, if the cluster config lists every one by its address.
func roster(c *config.Cluster) (map[manifest.Role][]manifest.Member, bool) {
	all := map[manifest.Role][]manifest.Member{}
	for _, r := range c.Bundle.Roles {
		if !r.Counted() {
			continue
		}
		var members []manifest.Member
		for _, h := range c.Hosts {
			if h.Role != r.Name || !h.Address.IsValid() {
				continue
			}
			// The order of the list is the order of the indexes, as the coordinator has it, too.
			m := manifest.Member{Name: h.Name, Address: h.Address.String(), Index: len(members), Zone: h.Labels[zoneLabel]}
			if m.Name == "" {
				m.Name = memberName(r.Name, m.Index)
			}
			members = append(members, m)
		}
		if len(members) != c.Roles[r.Name].Count {
			return nil, false
		}
		all[r.Name] = members
	}
	return all, true
}
