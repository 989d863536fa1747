package hosts

import (
	"fmt"
	"slices"
)

// Phase is where a host stands in its life. Lost is not a phase: it is a last-seen time.
type Phase string

// The phases in the order of a life without trouble, then the two ways out of it.
const (
	Enrolled     Phase = "enrolled"
	Assigned     Phase = "assigned"
	Preflight    Phase = "preflight"
	Ready        Phase = "ready"
	Fetching     Phase = "fetching"
	Installing   Phase = "installing"
	Starting     Phase = "starting"
	Postflight   Phase = "postflight"
	Done         Phase = "done"
	Failed       Phase = "failed"
	Uninstalling Phase = "uninstalling"
	Removed      Phase = "removed"
)

// Phases lists every phase in the order of a life.
var Phases = []Phase{Enrolled, Assigned, Preflight, Ready, Fetching, Installing, Starting, Postflight, Done, Failed, Uninstalling, Removed}

// Number is the phase's place in Phases, from 1, which is its number in the protocol; 0 for what is no phase.
func (p Phase) Number() int { return slices.Index(Phases, p) + 1 }

// Numbered is the phase of a number in the protocol, "" if there is none.
func Numbered(n int) Phase {
	if n < 1 || n > len(Phases) {
		return ""
	}
	return Phases[n-1]
}

// underWay is what a host may say once it was told to install. It works on while nobody listens, so whatever it says
// next may lie any number of phases ahead; a host that crashed redoes what it cannot prove to have finished, so it may
// also lie behind.
var underWay = []Phase{Fetching, Installing, Starting, Postflight, Done, Failed}

// observable is what a host may say after what, within one attempt.
var observable = map[Phase][]Phase{
	Assigned:     {Preflight, Ready, Failed},
	Preflight:    {Ready, Failed},
	Ready:        append([]Phase{Preflight}, underWay...),
	Fetching:     underWay,
	Installing:   underWay,
	Starting:     underWay,
	Postflight:   underWay,
	Uninstalling: {Removed},
}

// ErrTransition is a phase that a host may not claim from where it stands.
type ErrTransition struct{ From, To Phase }

func (e *ErrTransition) Error() string {
	return fmt.Sprintf("a host that is %s cannot be %s", e.From, e.To)
}

// Observe is the phase after a host said that it stands at to.
func Observe(from, to Phase) (Phase, error) {
	if from == to || slices.Contains(observable[from], to) {
		return to, nil
	}
	return from, &ErrTransition{From: from, To: to}
}

// Planned says whether a host in this phase is given a plan, or waits for one.
func (p Phase) Planned() bool {
	switch p {
	case Assigned, Preflight, Ready, Fetching, Installing, Starting, Postflight:
		return true
	}
	return false
}

// Busy says whether a host in this phase works on its plan, so that silence means trouble.
func (p Phase) Busy() bool {
	switch p {
	case Assigned, Preflight, Fetching, Installing, Starting, Postflight, Uninstalling:
		return true
	}
	return false
}
