// Package checks defines preflight and postflight checks, runs them, and holds the built-in probes. It knows nothing
// of plans, phases or the network to the coordinator.
package checks

import (
	"time"

	"muster/internal/manifest"
)

// Stage is when a check runs.
type Stage = manifest.Stage

// The stages of an installation at which checks run.
const (
	Preflight  = manifest.Preflight
	Postflight = manifest.Postflight
)

// Definition is one check as the manifest carries it.
type Definition = manifest.Check

// Status is a check's outcome, after the Nagios plugin convention; its value is the exit code of a script.
type Status int

// The four outcomes of the Nagios plugin convention.
const (
	OK Status = iota
	Warning
	Critical
	Unknown
)

// Result is what one check found.
type Result struct {
	Name   string
	Stage  Stage
	Status Status
	// Summary is the first line of the output, Detail what followed; both are capped.
	Summary string
	Detail  string
	Remedy  string
	Took    time.Duration
}

func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Warning:
		return "warning"
	case Critical:
		return "critical"
	default:
		return "unknown"
	}
}
