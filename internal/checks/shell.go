package checks

import (
	"context"
	"errors"
	"time"
)

// Shell runs a text as a POSIX shell script, with what a check's script has around it, and returns what it printed, capped
// and safe to show. trouble says how it ended if not well; an error is one of this host. Nothing that the script started
// in its process group survives it.
func (e Environment) Shell(ctx context.Context, timeout time.Duration, text string) (output, trouble string, err error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, state, err := e.shell(limited, text)
	switch {
	case ctx.Err() != nil:
		return "", "", context.Cause(ctx)
	case errors.Is(err, errLate):
		return clean(out), "was not done within " + timeout.String() + " and was ended", nil
	case err != nil:
		return "", "", err
	case !state.Success():
		return clean(out), "ended with " + state.String(), nil
	}
	return clean(out), "", nil
}
