package hosts

import (
	"fmt"
	"strings"
	"time"
)

// Action is the kind of a directive.
type Action string

// What a host can be told to do.
const (
	ActWait      Action = "wait"
	ActPreflight Action = "preflight"
	ActInstall   Action = "install"
	ActUninstall Action = "uninstall"
	ActLeave     Action = "leave"
)

// Directive is the one thing that a host is to do now.
type Directive struct {
	Action  Action
	Attempt uint32
	// Reason is a sentence for people, on a wait or a leave.
	Reason string
	// ComeBack is when a waiting host calls again, unless the answer was held back.
	ComeBack time.Duration
}

// Surroundings is what a directive depends on beside the host itself.
type Surroundings struct {
	// NoRole says why the host has no role yet.
	NoRole string
	// Missing names the late values that the host's artifacts need and that are not known yet, in words.
	Missing []string
	// Stays says that the bootstrap agent is to stay on a host that is done, and Behind what keeps such a host from
	// following a change of its late values; "" when there is none to follow.
	Stays  bool
	Behind string
}

// Next is what the host is to do, from where it stands. One that was removed gets no directive.
func Next(h Host, s Surroundings) Directive {
	d := Directive{Attempt: h.Attempt}
	switch h.Phase {
	case Enrolled:
		d.Action, d.Reason = ActWait, s.NoRole
	case Assigned, Preflight:
		d.Action = ActPreflight
	case Ready:
		if len(s.Missing) > 0 {
			d.Action, d.Reason = ActWait, "waiting for "+strings.Join(s.Missing, ", ")
			break
		}
		d.Action = ActInstall
	case Fetching, Installing, Starting, Postflight:
		// A roster that lost a member in the middle of the installation is no reason to stop it half-way.
		d.Action = ActInstall
	case Done:
		d.Action, d.Reason = ActLeave, "the installation is complete"
		if s.Stays {
			d.Action, d.Reason = ActWait, s.Behind
		}
	case Uninstalling:
		d.Action = ActUninstall
	case Failed:
		d.Action = ActWait
		d.Reason = "failed"
		if h.Failed != nil {
			d.Reason = fmt.Sprintf("failed at %s; waiting for a retry", h.Failed.Step)
		}
	default:
		d.Action, d.Reason = ActWait, "nothing to do"
	}
	if d.Action == ActWait {
		d.ComeBack = 5 * time.Second
	}
	return d
}
