package roles

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/internal/hosts"
)

// Member is one member of a counted role.
type Member struct {
	Host    hosts.ID `json:"host"`
	Name    string   `json:"name"`
	Address string   `json:"address"`
	Zone    string   `json:"zone,omitempty"`
	// Domain is the value of the label that the role is spread over, as it was when the host joined.
	Domain string `json:"domain,omitempty"`
}

// Roster is the membership of one counted role. Its length is the role's count; a place without a host is free.
type Roster []Member

// ErrFull is a counted role that has all its members.
var ErrFull = errors.New("the role has all its members")

// ErrAddress is an address or name that a member of the role already has.
var ErrAddress = errors.New("a member of the role already has this name or address")

// NewRoster is the empty roster of a role.
func NewRoster(count int) Roster { return make(Roster, count) }

// Complete says whether every place is taken.
func (r Roster) Complete() bool { return r.Free() == 0 }

// Free counts the places that nobody has.
func (r Roster) Free() int {
	free := 0
	for _, m := range r {
		if m.Host == "" {
			free++
		}
	}
	return free
}

// Index is the place of a host, or -1.
func (r Roster) Index(host hosts.ID) int {
	if host == "" {
		return -1
	}
	return slices.IndexFunc(r, func(m Member) bool { return m.Host == host })
}

// Join returns the roster with the member in it and its index. A host that is in it already keeps its place, so a
// repeated call changes nothing. place is the one that the cluster config keeps for this host, or -1; reserved are all
// hosts that it keeps places for. A listed host whose place was taken before the list said so has another.
func (r Roster) Join(m Member, place int, reserved []Listed) (Roster, int, error) {
	if i := r.Index(m.Host); i >= 0 {
		return r, i, nil
	}
	for _, other := range r {
		if other.Host != "" && (other.Address == m.Address || other.Name == m.Name) {
			return r, -1, fmt.Errorf("%w: %s at %s", ErrAddress, other.Name, other.Address)
		}
	}
	if place < 0 || place >= len(r) || r[place].Host != "" {
		place = r.free(reserved)
	}
	if place < 0 {
		return r, -1, ErrFull
	}
	next := slices.Clone(r)
	next[place] = m
	return next, place, nil
}

// free is the first place that nobody has and that is not kept for a host which has yet to come, or -1.
func (r Roster) free(reserved []Listed) int {
	var kept []int
	for _, l := range reserved {
		if !slices.ContainsFunc(r, l.names) {
			kept = append(kept, l.place)
		}
	}
	for i, m := range r {
		if m.Host == "" && !slices.Contains(kept, i) {
			return i
		}
	}
	return -1
}

// names says whether the member is the listed host.
func (l Listed) names(m Member) bool {
	if l.Address.IsValid() {
		return m.Address == l.Address.Unmap().String()
	}
	return strings.EqualFold(m.Name, l.Name)
}

// Leave returns the roster without the host; its place is free for another.
func (r Roster) Leave(host hosts.ID) Roster {
	i := r.Index(host)
	if i < 0 {
		return r
	}
	next := slices.Clone(r)
	next[i] = Member{}
	return next
}

// Resize returns the roster with count places. Places that have a member are never given up.
func (r Roster) Resize(count int) (Roster, error) {
	for i := count; i < len(r); i++ {
		if r[i].Host != "" {
			return r, fmt.Errorf("%s has place %d, and only %d are wanted: remove the host first", r[i].Name, i, count)
		}
	}
	next := NewRoster(count)
	copy(next, r)
	return next, nil
}
