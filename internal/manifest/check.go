package manifest

import "time"

// Stage is when a check runs.
type Stage string

// The stages of an installation at which checks run.
const (
	Preflight  Stage = "preflight"
	Postflight Stage = "postflight"
)

// Check is one check of a role. Exactly one of Probe and Script is set.
type Check struct {
	Name    string            `json:"name"`
	Stage   Stage             `json:"stage"`
	Summary string            `json:"summary,omitempty"`
	Probe   string            `json:"probe,omitempty"`
	With    map[string]string `json:"with,omitempty"`
	// Script is the text of a POSIX shell script; it may hold late placeholders, as may the values of With.
	Script string `json:"script,omitempty"`
	// Severity is the worst that a failure of this check counts as: critical or warning.
	Severity string `json:"severity"`
	Remedy   string `json:"remedy,omitempty"`
	// Timeout bounds one run; RetryFor is how long a postflight check is run again until it is ok.
	Timeout  time.Duration `json:"timeout"`
	RetryFor time.Duration `json:"retry_for,omitempty"`
}
