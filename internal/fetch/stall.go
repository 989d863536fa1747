package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// leastPerWindow is what a source must bring in every Options.StallAfter. A hostile one could otherwise hold a host
// for ever with one byte a minute; changing the source costs nothing, since what has arrived is kept.
const leastPerWindow = 4 << 10

var errStalled = errors.New("the source has stalled")

// stallGuard cancels a request that no longer moves.
type stallGuard struct {
	base  http.RoundTripper
	after time.Duration
}

func (g stallGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(g.after, func() { cancel(errStalled) })
	resp, err := g.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		timer.Stop()
		err = cause(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &guardedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timer: timer, after: g.after}
	return resp, nil
}

type guardedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
	// window counts the bytes since the timer was last set.
	window int
}

func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.window += n; b.window >= leastPerWindow {
		b.window = 0
		b.timer.Reset(b.after)
	}
	if err != nil && err != io.EOF {
		err = cause(b.ctx, err)
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// cause names the stall where the transport only says that the request was cancelled.
func cause(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}
