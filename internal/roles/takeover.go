package roles

import (
	"time"

	"muster/internal/hosts"
)

// Fresh is how recently a host was heard of that is taken to be well. A host that only waits calls every 25 seconds, and knows
// after 40 that an answer is lost: one that is lost is no sign of trouble.
const Fresh = 90 * time.Second

// Standing is how one member of a counted role is, as far as it is known.
type Standing struct {
	Host hosts.ID
	// Heard is when it called last, Steady since when it has called without a gap of more than Fresh; zero if never.
	Heard, Steady time.Time
	// Done says that it is installed, Silent that it may be so without being heard of: its bootstrap agent has left, or its
	// calls are denied.
	Done, Silent bool
}

// Overdue is the one member whose place a spare may take over because it was not heard of for the whole of after, or "".
//
// Whoever cannot hear one member may be what is cut off itself. So a majority of the members must be done and have been
// heard of all that time, without it; and nobody is replaced while another of them is not done. A role of one or two
// members has no such majority.
func Overdue(members []Standing, after time.Duration, now time.Time) hosts.ID {
	var overdue hosts.ID
	well := 0
	for _, m := range members {
		switch {
		case m.Host == "":
			return "" // the place that is free comes first
		case m.Silent:
		case now.Sub(m.Heard) > Fresh && now.Sub(m.Heard) >= after:
			if overdue != "" {
				return ""
			}
			overdue = m.Host
		case !m.Done:
			return ""
		case now.Sub(m.Heard) <= Fresh && now.Sub(m.Steady) >= after:
			well++
		}
	}
	if well <= len(members)/2 {
		return ""
	}
	return overdue
}
