package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"muster/internal/manifest"
)

// Side is one of two things that are compared: what a generation is made of, or would be.
type Side struct {
	Label string
	// Config is the cluster config with every default filled in, as config.json of a generation has it, but for the
	// hosts.
	Config map[string]any
	Hosts  []manifest.Listed
	Roles  []RoleState
	// Bundle tells which parameters are secret. It is nil for a generation, which has them masked.
	Bundle *BundleText
}

// RoleState is what hosts of a role are given: for each kind of thing, such as file or unit, a fingerprint by name.
type RoleState struct {
	Name  manifest.Role
	Parts map[string]map[string]string
}

// KindLate are late values. Unlike other parts one that is only in one of two sides is no change: it is there because a
// file uses it. An empty one is not known yet.
const KindLate = "late value"

// Change says what became of a thing.
type Change string

// The changes.
const (
	Added   Change = "added"
	Removed Change = "removed"
	Changed Change = "changed"
)

// Diff is what is different between two sides.
type Diff struct {
	Old   string       `json:"old"`
	New   string       `json:"new"`
	Keys  []KeyChange  `json:"keys"`
	Roles []RoleChange `json:"roles"`
	Hosts []HostChange `json:"hosts"`
	// NotCompared names what was left out.
	NotCompared []string `json:"not_compared,omitempty"`
}

// KeyChange is a key with another value.
type KeyChange struct {
	Key    string `json:"key"`
	Change Change `json:"change"`
	// Old and New are masked where they are secret; nil when the key has no value.
	Old any `json:"old,omitempty"`
	New any `json:"new,omitempty"`
}

// RoleChange says what hosts of a role get that they did not have, or not so.
type RoleChange struct {
	Role   manifest.Role `json:"role"`
	Change Change        `json:"change"`
	Parts  []PartChange  `json:"parts,omitempty"`
	// Hosts are those of the role that the new cluster config lists. Others with the role are affected as well.
	Hosts []string `json:"hosts,omitempty"`
}

// PartChange is one thing that a role has, or had.
type PartChange struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Change Change `json:"change"`
}

// HostChange is an entry of the list of hosts.
type HostChange struct {
	Host   string        `json:"host"`
	Change Change        `json:"change"`
	Old    manifest.Role `json:"old_role,omitempty"`
	New    manifest.Role `json:"new_role,omitempty"`
	// Labels says that the labels changed.
	Labels bool `json:"labels,omitempty"`
}

// Same says that nothing is different.
func (d Diff) Same() bool { return len(d.Keys)+len(d.Roles)+len(d.Hosts) == 0 }

// Compare gives the differences, in the order of names.
func Compare(before, after Side) Diff {
	d := Diff{
		Old: before.Label, New: after.Label,
		Roles: compareRoles(before, after), Hosts: compareHosts(before.Hosts, after.Hosts),
	}
	if before.Bundle == nil || after.Bundle == nil {
		// Of a secret parameter a generation knows no more than that there is one.
		before.Config, after.Config = before.masked(), after.masked()
		if holdsMasked(before.Config) || holdsMasked(after.Config) {
			d.NotCompared = append(d.NotCompared, "the values of writeOnly parameters, which no generation holds")
		}
	}
	d.Keys = compareKeys(before, after)
	return d
}

// masked is the side's config as a generation has it.
func (s Side) masked() map[string]any {
	parameters, ok := s.Config["parameters"].(map[string]any)
	if s.Bundle == nil || !ok {
		return s.Config
	}
	out := maps.Clone(s.Config)
	out["parameters"] = s.Bundle.Conceal(parameters, func(string) any { return Masked })
	return out
}

func holdsMasked(v any) bool {
	switch v := v.(type) {
	case string:
		return v == Masked
	case []any:
		return slices.ContainsFunc(v, holdsMasked)
	case map[string]any:
		for _, below := range v {
			if holdsMasked(below) {
				return true
			}
		}
	}
	return false
}

// leaf is a value that is no mapping, or an empty one.
type leaf struct {
	way   []string
	value any
}

func leaves(way []string, v any, out map[string]leaf) {
	if m, ok := v.(map[string]any); ok && len(m) > 0 {
		for name, below := range m {
			leaves(append(slices.Clip(way), name), below, out)
		}
		return
	}
	out[joinKey(way)] = leaf{way, v}
}

func compareKeys(before, after Side) []KeyChange {
	olds, news := map[string]leaf{}, map[string]leaf{}
	leaves(nil, before.Config, olds)
	leaves(nil, after.Config, news)
	all := map[string]leaf{}
	for key, l := range olds {
		all[key] = l
	}
	for key, l := range news {
		all[key] = l
	}
	changes := []KeyChange{}
	for _, key := range sortedKeys(all) {
		o, hadIt := olds[key]
		n, hasIt := news[key]
		if hadIt && hasIt && equal(o.value, n.value) {
			continue
		}
		change := Changed
		switch {
		case !hadIt:
			change = Added
		case !hasIt:
			change = Removed
		}
		way := all[key].way
		changes = append(changes, KeyChange{key, change, maskFor(before, after, way, o.value), maskFor(before, after, way, n.value)})
	}
	return changes
}

// maskFor masks what either bundle calls secret.
func maskFor(before, after Side, way []string, value any) any {
	if value == nil || len(way) == 0 || way[0] != "parameters" {
		return value
	}
	for _, b := range []*BundleText{before.Bundle, after.Bundle} {
		if b != nil {
			value = b.MaskAt(way[1:], value)
		}
	}
	return value
}

func compareRoles(before, after Side) []RoleChange {
	changes := []RoleChange{}
	for _, r := range before.Roles {
		if !slices.ContainsFunc(after.Roles, func(o RoleState) bool { return o.Name == r.Name }) {
			changes = append(changes, RoleChange{Role: r.Name, Change: Removed, Hosts: listedWith(before.Hosts, r.Name)})
		}
	}
	for _, r := range after.Roles {
		i := slices.IndexFunc(before.Roles, func(o RoleState) bool { return o.Name == r.Name })
		c := RoleChange{Role: r.Name, Change: Added, Hosts: listedWith(after.Hosts, r.Name)}
		if i >= 0 {
			c.Change = Changed
			if c.Parts = compareParts(before.Roles[i], r); len(c.Parts) == 0 {
				continue
			}
		}
		changes = append(changes, c)
	}
	slices.SortStableFunc(changes, func(a, b RoleChange) int { return cmp.Compare(a.Role, b.Role) })
	return changes
}

func compareParts(before, after RoleState) []PartChange {
	kinds := map[string]bool{}
	for kind := range before.Parts {
		kinds[kind] = true
	}
	for kind := range after.Parts {
		kinds[kind] = true
	}
	var changes []PartChange
	for _, kind := range sortedKeys(kinds) {
		olds, news := before.Parts[kind], after.Parts[kind]
		if olds == nil || news == nil {
			continue // one of the sides does not know
		}
		names := map[string]bool{}
		for name := range olds {
			names[name] = true
		}
		for name := range news {
			names[name] = true
		}
		for _, name := range sortedKeys(names) {
			o, hadIt := olds[name]
			n, hasIt := news[name]
			switch {
			case kind == KindLate && (o == "" || n == ""):
				// One of the sides leaves it to the coordinator.
			case hadIt && hasIt && o != n:
				changes = append(changes, PartChange{kind, name, Changed})
			case !hadIt:
				changes = append(changes, PartChange{kind, name, Added})
			case !hasIt:
				changes = append(changes, PartChange{kind, name, Removed})
			}
		}
	}
	return changes
}

// hostLabel names an entry of the list.
func hostLabel(h manifest.Listed) string { return cmp.Or(h.Address, h.Name, h.CIDR) }

func listedWith(hosts []manifest.Listed, role manifest.Role) []string {
	var out []string
	for _, h := range hosts {
		if h.Role == role {
			out = append(out, hostLabel(h))
		}
	}
	return out
}

func compareHosts(before, after []manifest.Listed) []HostChange {
	olds := make(map[string]manifest.Listed, len(before))
	for _, h := range before {
		olds[strings.ToLower(hostLabel(h))] = h
	}
	changes := []HostChange{}
	seen := make(map[string]bool, len(after))
	for _, h := range after {
		key := strings.ToLower(hostLabel(h))
		seen[key] = true
		o, hadIt := olds[key]
		switch {
		case !hadIt:
			changes = append(changes, HostChange{Host: hostLabel(h), Change: Added, New: h.Role})
		case o.Role != h.Role || !sameLabels(o.Labels, h.Labels):
			changes = append(changes, HostChange{hostLabel(h), Changed, o.Role, h.Role, !sameLabels(o.Labels, h.Labels)})
		}
	}
	for _, h := range before {
		if !seen[strings.ToLower(hostLabel(h))] {
			changes = append(changes, HostChange{Host: hostLabel(h), Change: Removed, Old: h.Role})
		}
	}
	return changes
}

func sameLabels(a, b map[string]string) bool { return len(a) == 0 && len(b) == 0 || equal(a, b) }
