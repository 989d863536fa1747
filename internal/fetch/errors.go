package fetch

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// The classes of an Error. What may get better by itself is not among them: a source that cannot be reached, is slow or
// lacks a blob is asked again and again, and shown as an Event.
var (
	// ErrInvalid means that the request makes no sense; it will not get better.
	ErrInvalid = errors.New("invalid request")
	// ErrNoSpace means that the file system is full or the quota used up.
	ErrNoSpace = errors.New("no space")
	// ErrLocal means that this host's file system refused for another reason.
	ErrLocal = errors.New("local file system failure")
	// ErrCorrupt means that every source has sent the whole blob with the wrong digest, more than once.
	ErrCorrupt = errors.New("corrupt sources")
	// ErrGaveUp means that nothing was gained for Options.GiveUpAfter.
	ErrGaveUp = errors.New("gave up")
	// ErrStopped means that the context ended.
	ErrStopped = errors.New("stopped")
)

// Error is why Fetch ended without the blob: errors.Is finds its class and its cause.
type Error struct {
	Class  error
	What   string
	Remedy string
	Err    error
}

func (e *Error) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// As lets fault.Remedy and everything else that knows faults see the error as one.
func (e *Error) As(target any) bool {
	f, ok := target.(**fault.Error)
	if !ok {
		return false
	}
	class := fault.Unavailable
	if e.Class == ErrInvalid {
		class = fault.Invalid
	}
	*f = fault.New(class, e.Remedy, "%s", e.What).Because(e.Err)
	return true
}

func (e *Error) Unwrap() []error { return []error{e.Class, e.Err} }

// localError classes a failure of this host's file system.
func localError(dir string, blob manifest.Blob, err error) *Error {
	e := &Error{
		Class:  ErrLocal,
		What:   fmt.Sprintf("cannot store blob %.12s in %s", string(blob.Digest), dir),
		Remedy: fmt.Sprintf("check that %s is a writable directory on a healthy disk, then retry the host", dir),
		Err:    err,
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		e.Class = ErrNoSpace
		e.Remedy = fmt.Sprintf("make %d bytes of room under %s, then retry the host", blob.Size, dir)
	}
	return e
}

// corruptError names the blob and who serves it wrongly.
func (d *download) corruptError() *Error {
	return &Error{
		Class: ErrCorrupt,
		What:  fmt.Sprintf("blob %s is corrupt at its sources: each sent it with another SHA-256, %d times", d.blob.Digest, maxWrong),
		Remedy: fmt.Sprintf("put %s there again from the output of coordinator genconf (coordinator serve does it when it starts), then retry the host; the sources are: %s",
			Path(d.blob.Digest), d.sources.list()),
		Err: d.last,
	}
}

// stopped says that the context ended, and what was wrong until then.
func stopped(ctx context.Context, blob manifest.Blob, last error) *Error {
	what := fmt.Sprintf("blob %.12s was not fetched in time", string(blob.Digest))
	if last != nil {
		what += fmt.Sprintf(" (last failed try: %v)", last)
	}
	return &Error{Class: ErrStopped, What: what, Remedy: "it goes on from there when it is started again", Err: context.Cause(ctx)}
}
