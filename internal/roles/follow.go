package roles

// Of an open role that its bundle says nothing of, so many percent of the hosts follow a change at a time, and no more than
// followMost.
const (
	followPercent = 10
	followMost    = 100
)

// AtATime is how many of a role's hosts may be away at a time because they follow a change, at least one: of a counted
// role that is all, unless its bundle knows better.
func AtATime(r Role, hosts int) int {
	n := 1
	switch u := r.Upgrade; {
	case u != nil && u.MaxUnavailable > 0:
		n = u.MaxUnavailable
	case u != nil && u.MaxPercent > 0:
		n = hosts * u.MaxPercent / 100
	case r.Count == 0:
		n = min(hosts*followPercent/100, followMost)
	}
	return max(n, 1)
}
