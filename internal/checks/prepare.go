package checks

import (
	"context"
	"errors"
)

// prepare makes a function of a definition.
func prepare(d Definition) (func(context.Context, Environment) finding, error) {
	switch {
	case d.Probe != "" && d.Script != "":
		return nil, errors.New("it has both a probe and a script")
	case d.Script != "":
		return func(ctx context.Context, env Environment) finding { return env.script(ctx, d.Script) }, nil
	case d.Probe == "":
		return nil, errors.New("it has neither a probe nor a script")
	}
	p, values, err := parseArgs(d.Probe, d.With)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, env Environment) finding {
		// A probe may hang in the kernel, on a dead network file system for one: then it is left behind.
		done := make(chan finding, 1)
		go func() { done <- p.run(ctx, env, values) }()
		select {
		case f := <-done:
			return f
		case <-ctx.Done():
			return finding{late: true}
		}
	}, nil
}
