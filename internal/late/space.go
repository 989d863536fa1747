package late

import (
	"slices"
	"strings"

	"muster/internal/manifest"
)

// Spec is what generation does know about the late values of a cluster.
type Spec struct {
	// Rosters are the counted roles with their numbers of members.
	Rosters map[manifest.Role]int
	// Endpoint says that the cluster config declares one.
	Endpoint bool
	// Secrets are those that the bundle declares; true are those that the role may read.
	Secrets map[string]bool
}

// Space holds the late values that the templates of one role see, and remembers which of them they printed. It is
// made anew for every role, so that a role's table holds exactly what its artifacts reference. It is not safe for
// concurrent use: the order of slots is the order of printing.
type Space struct {
	marker string
	// Host is the host's own values.
	Host Host
	// Roster is the members of the counted roles.
	Roster map[string][]Member
	// Endpoint is the zero Value when the spec does not declare one.
	Endpoint Value
	// Secret has the secrets that the role may read.
	Secret map[string]Value
	denied map[string]bool

	slots  []manifest.Slot
	number map[Value]int
}

// NewSpace makes the late values of one role. The marker comes from Marker.
func NewSpace(marker string, spec Spec) *Space {
	s := &Space{marker: marker, Roster: make(map[string][]Member, len(spec.Rosters)), number: map[Value]int{},
		Secret: map[string]Value{}, denied: map[string]bool{}}
	s.Host = Host{s.value(hostRef(fieldName)), s.value(hostRef(fieldAddress)), s.value(hostRef(fieldIndex)), s.value(hostRef(fieldZone))}
	for role, length := range spec.Rosters {
		members := make([]Member, length)
		for i := range members {
			at := func(f field) Value { return s.value(memberRef(role, i, f)) }
			members[i] = Member{at(fieldName), at(fieldAddress), at(fieldIndex), at(fieldZone)}
		}
		s.Roster[string(role)] = members
	}
	for name, readable := range spec.Secrets {
		if readable {
			s.Secret[name] = s.value(SecretRef(name))
		} else {
			s.denied[name] = true
		}
	}
	if spec.Endpoint {
		s.Endpoint = s.value(refEndpoint)
	}
	return s
}

func (s *Space) value(ref string) Value { return Value{space: s, ref: ref} }

// Denied says whether the bundle declares the secret, but not for this role.
func (s *Space) Denied(name string) bool { return s.denied[name] }

// Table gives the slots that were printed so far, in the order of their first printing.
func (s *Space) Table() manifest.LateTable {
	return manifest.LateTable{Marker: s.marker, Slots: slices.Clone(s.slots)}
}

func (s *Space) slot(v Value) int {
	if n, ok := s.number[v]; ok {
		return n
	}
	n := len(s.slots)
	s.slots = append(s.slots, manifest.Slot{Ref: v.ref, Encode: chain(v.encode)})
	s.number[v] = n
	return n
}

// Find looks for a late value: v itself, or one whose placeholder is part of the text v.
func (s *Space) Find(v any) (ref string, found bool) {
	switch v := v.(type) {
	case Value:
		return v.ref, v.ref != ""
	case string:
		return s.findText(v)
	}
	return "", false
}

// FindWithin looks for a late value as Find does, and also inside of structures.
func (s *Space) FindWithin(v any) (ref string, found bool) {
	switch v := v.(type) {
	case Host:
		return v.Name.ref, true
	case Member:
		return v.Name.ref, true
	case []Member:
		return findFirst(s, v)
	case map[string][]Member:
		for _, role := range sortedKeys(v) {
			if ref, found := findFirst(s, v[role]); found {
				return ref, true
			}
		}
	case map[string]Value:
		if names := sortedKeys(v); len(names) > 0 {
			return v[names[0]].ref, true
		}
	case []any:
		return findFirst(s, v)
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if ref, found := s.FindWithin(v[key]); found {
				return ref, true
			}
		}
	}
	return s.Find(v)
}

func findFirst[T any](s *Space, items []T) (string, bool) {
	for _, item := range items {
		if ref, found := s.FindWithin(item); found {
			return ref, true
		}
	}
	return "", false
}

func (s *Space) findText(text string) (string, bool) {
	_, after, found := strings.Cut(text, s.marker)
	if !found {
		return "", false
	}
	if n, _, ok := slotNumber(after); ok && n < len(s.slots) {
		return s.slots[n].Ref, true
	}
	// A part of a placeholder: which one no longer matters.
	return "Host, .Roster, .Endpoint or .Secret", true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
