package roles

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/internal/manifest"
)

// Apart is nil when the member may join a role that is spread, with respect to who is in it already; else it says why
// not. known are values of the label that hosts have which are not members. A host that is in the roster already may
// stay, and hosts without the label share one value, the empty one.
func (r Roster) Apart(m Member, s manifest.Spread, known []string) error {
	if r.Index(m.Host) >= 0 {
		return nil
	}
	have := 0
	for _, other := range r {
		if other.Host != "" && other.Domain == m.Domain {
			have++
		}
	}
	most := r.share(m, s, known)
	if have < most {
		return nil
	}
	return &SpreadError{Label: s.Label, Value: m.Domain, Have: have, Most: most}
}

// Outside says in a sentence that the member is in none of the zones that the role is spread over; nil if it is in one or no
// zones are said.
func (r Role) Outside(m Member) error {
	if len(r.Zones) == 0 || slices.Contains(r.Zones, m.Domain) {
		return nil
	}
	where := "its zone is " + m.Domain
	if m.Domain == "" {
		where = "it says no zone"
	}
	return errors.New(where + ", and the role is spread over " + strings.Join(r.Zones, ", "))
}

// share is the most members that may have the same value: as the bundle says, or else what falls to each of the values
// when the role is divided evenly.
func (r Roster) share(m Member, s manifest.Spread, known []string) int {
	if s.Max > 0 {
		return s.Max
	}
	values := map[string]bool{m.Domain: true}
	for _, v := range known {
		values[v] = true
	}
	for _, other := range r {
		if other.Host != "" {
			values[other.Domain] = true
		}
	}
	return (len(r) + len(values) - 1) / len(values)
}

// SpreadError is a host that would bring too many members to one value of a label.
type SpreadError struct {
	Label, Value string
	Have, Most   int
}

func (e *SpreadError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the role is spread over the label %s, and %d of at most %d members have ", e.Label, e.Have, e.Most)
	if e.Value == "" {
		b.WriteString("none already")
	} else {
		fmt.Fprintf(&b, "%s=%s already", e.Label, e.Value)
	}
	return b.String()
}
