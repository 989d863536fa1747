package show

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// standing sorts hosts by how much they need a person.
type standing int

const (
	failed standing = iota
	pushFailed
	lost
	working
	waiting
	done
)

const (
	// silentBusy is when a host that works is lost: it says something every 5 seconds.
	silentBusy = 20 * time.Second
	// silentIdle is when a host that waits is lost: its call is held back up to 25 seconds, and may have to be repeated.
	silentIdle = 45 * time.Second
	// joinPatience is when a pushed host should have joined.
	joinPatience = 2 * time.Minute
)

// pushed is the value of Host.push for a push that went well.
const pushed = "pushed"

func stand(h *operatorv1.Host, now time.Time) standing {
	_, silent := silence(h, now)
	switch {
	case h.Push != "" && h.Push != pushed:
		return pushFailed
	case h.Quarantine != nil, h.Push == "" && h.Phase == syncv1.Phase_PHASE_FAILED:
		return failed
	case silent:
		return lost
	case h.Push == "" && over(h.Phase):
		return done
	case h.Push != "" || !busy(h.Phase) || h.Waiting != "":
		return waiting
	}
	return working
}

// silence is for how long nothing was heard of a host, and whether that is too long. A host that is done has no
// bootstrap agent any more, unless it is resident: its silence is normal.
func silence(h *operatorv1.Host, now time.Time) (time.Duration, bool) {
	since, known := moment(h.PhaseSince)
	if h.Push != "" {
		quiet := now.Sub(since)
		return quiet, known && h.Push == pushed && quiet > joinPatience
	}
	if over(h.Phase) && !h.Resident || h.Quarantine != nil { // what a host in quarantine says is not heard
		return 0, false
	}
	// The coordinator can move a host on while it sleeps, so the phase counts from its own beginning.
	if seen, ok := moment(h.LastSeen); ok && (!known || seen.After(since)) {
		since, known = seen, true
	}
	limit := silentIdle
	if busy(h.Phase) {
		limit = silentBusy
	}
	quiet := now.Sub(since)
	return quiet, known && quiet > limit
}

func over(p syncv1.Phase) bool {
	return p == syncv1.Phase_PHASE_DONE || p == syncv1.Phase_PHASE_REMOVED
}

func busy(p syncv1.Phase) bool {
	switch p {
	case syncv1.Phase_PHASE_ASSIGNED, syncv1.Phase_PHASE_PREFLIGHT, syncv1.Phase_PHASE_FETCHING, syncv1.Phase_PHASE_INSTALLING,
		syncv1.Phase_PHASE_STARTING, syncv1.Phase_PHASE_POSTFLIGHT, syncv1.Phase_PHASE_UNINSTALLING:
		return true
	}
	return false
}

// moment is a time that may be missing, or nonsense from a host.
func moment(t *timestamppb.Timestamp) (time.Time, bool) {
	if !t.IsValid() {
		return time.Time{}, false
	}
	return t.AsTime(), true
}
