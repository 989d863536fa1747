package manifest

import (
	"fmt"
	"slices"
	"time"
)

// Moment is when a publisher's step runs.
type Moment string

// The moments of an installation at which steps run.
const (
	BeforeActivate Moment = "before-activate"
	AfterActivate  Moment = "after-activate"
	BeforeStart    Moment = "before-start"
	AfterStart     Moment = "after-start"
)

// Moments are all of them, in their order.
var Moments = []Moment{BeforeActivate, AfterActivate, BeforeStart, AfterStart}

// Step is a publisher's script that a host runs as a step of the installation.
type Step struct {
	Name string `json:"name"`
	When Moment `json:"when"`
	// Script is the text of a POSIX shell script; it may hold late placeholders.
	Script  string        `json:"script"`
	Timeout time.Duration `json:"timeout"`
	Remedy  string        `json:"remedy"`
	// Once says that a host on which it went well does not run it again while it stays installed.
	Once bool `json:"once,omitempty"`
}

func (s Step) validate() error {
	switch {
	case !IsName(s.Name):
		return fmt.Errorf("not a plain name")
	case !slices.Contains(Moments, s.When):
		return fmt.Errorf("unknown moment %.20q", s.When)
	case s.Script == "" || s.Remedy == "":
		return fmt.Errorf("needs a script and a remedy")
	case s.Timeout <= 0:
		return fmt.Errorf("timeout %v", s.Timeout)
	}
	return nil
}
