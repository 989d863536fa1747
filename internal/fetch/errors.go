package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// The classes of an Error. What may get better by itself is not among them: a source that cannot be reached, breaks off,
// is slow or busy is asked again and again, and shown as an Event.
var (
	// ErrInvalid means that the request makes no sense; it will not get better.
	ErrInvalid = errors.New("invalid request")
	// ErrNoSpace means that the file system is full or the quota used up.
	ErrNoSpace = errors.New("no space")
	// ErrLocal means that this host's file system refused for another reason.
	ErrLocal = errors.New("local file system failure")
	// ErrCorrupt means that no source has the blob and one at least has another one in its place: with the wrong
	// digest, truncated or too long, more than once.
	ErrCorrupt = errors.New("corrupt sources")
	// ErrMissing means that every source has said that it does not have the blob, again and again.
	ErrMissing = errors.New("missing from the sources")
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

// hopelessError names the blob, and for each source what is the matter with it there.
func (d *download) hopelessError() *Error {
	e := &Error{Class: ErrMissing, Err: d.last}
	what := "missing from"
	var each []string
	for _, s := range d.sources.all {
		r := d.record(s)
		if r.isWrong() {
			e.Class, what = ErrCorrupt, "corrupt at"
			each = append(each, fmt.Sprintf("%s has it %s, in %d tries", s.base, r.how, r.wrong))
		} else {
			each = append(each, fmt.Sprintf("%s does not have it, in %d tries over %v", s.base, r.missing, r.last.Sub(r.first).Round(time.Second)))
		}
	}
	e.What = fmt.Sprintf("blob %s is %s its sources: %s", d.blob.Digest, what, strings.Join(each, "; "))
	e.Remedy = fmt.Sprintf("put %s there again: run coordinator genconf again, restart coordinator serve if there is one, and copy the output to the mirrors; then retry the host; the sources are: %s",
		Path(d.blob.Digest), d.sources.list())
	return e
}

// stopped says that the context ended, and what was wrong until then.
func stopped(ctx context.Context, blob manifest.Blob, last error) *Error {
	what := fmt.Sprintf("blob %.12s was not fetched in time", string(blob.Digest))
	if last != nil {
		what += fmt.Sprintf(" (last failed try: %v)", last)
	}
	return &Error{Class: ErrStopped, What: what, Remedy: "it goes on from there when it is started again", Err: context.Cause(ctx)}
}
