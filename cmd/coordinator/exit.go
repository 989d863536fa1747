package main

// The exit codes, the same for all commands.
const (
	exitFailed      = 1
	exitInvalid     = 2
	exitFailedHosts = 3
)

// exitError ends the program with a code of its own. An error of any other type ends it with exitFailed.
type exitError struct {
	code int
	// err may be nil when everything has been said already.
	err error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
