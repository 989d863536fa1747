package config

import (
	"time"

	"muster/internal/manifest"
)

// Step is a script that every host of its roles runs at a moment of the installation.
type Step struct {
	Name    string
	When    manifest.Moment
	Roles   []manifest.Role
	Summary string
	// Script is the path of a template.
	Script  string
	Timeout time.Duration
	Remedy  string
	// Once says that a host on which the step went well does not run it again while it stays installed.
	Once bool
}

const (
	defaultStepTimeout = 5 * time.Minute
	maxStepTimeout     = 2 * time.Hour
)

func (p *bundleParser) step(name string, c cursor) Step {
	s := Step{Name: name, Timeout: defaultStepTimeout}
	c.checkName("step", name)
	c.fields(
		must("when", "write when: with one of "+choice(manifest.Moments), func(c cursor) {
			words := make([]string, len(manifest.Moments))
			for i, m := range manifest.Moments {
				words[i] = string(m)
			}
			s.When = manifest.Moment(c.oneOf(words...))
		}),
		p.forRoles(&s.Roles),
		may("summary", func(c cursor) { s.Summary = c.phrase() }),
		must("script", "name the script, such as script: steps/"+name+".sh", func(c cursor) { s.Script = p.regular(c) }),
		may("timeout", func(c cursor) { s.Timeout = c.duration(maxStepTimeout) }),
		must("remedy", "say what the operator is to do when this step fails", func(c cursor) { s.Remedy = c.phrase() }),
		may("once", func(c cursor) { s.Once = c.boolean() }),
	)
	return s
}
