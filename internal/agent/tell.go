package agent

import (
	"time"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
)

// Teller is told what an installation does. Phase and Step outcomes are kept, Progress is for the moment.
type Teller interface {
	// Phase says where the host stands from now on.
	Phase(p hosts.Phase) error
	// Step says how a step ended; err is nil when it went well. What follows the first line of the message is detail.
	Step(p hosts.Phase, name, message string, took time.Duration, err error) error
	Check(r checks.Result) error
	// Progress says what is being done and how far; waiting is what it waits for or tries again.
	Progress(step string, done, total int64, waiting string)
}

// detailed is a fault with the tail of what failed.
type detailed struct {
	fault  *fault.Error
	detail string
}

func (d *detailed) Error() string { return d.fault.Error() }

func (d *detailed) Unwrap() error { return d.fault }
