package push

import (
	"context"
	"io"

	"golang.org/x/time/rate"
)

// limitBurst is what may be sent at once under a limit: some packets of SSH, whatever the rate.
const limitBurst = 128 << 10

// limitedWriter takes from what all hosts share before it writes.
type limitedWriter struct {
	ctx   context.Context
	w     io.Writer
	limit *rate.Limiter
}

func (l limitedWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := min(len(p), limitBurst/4)
		// A wait that can't end before the deadline is no error of the limiter: the deadline says it better.
		if err := l.limit.WaitN(l.ctx, n); err != nil {
			<-l.ctx.Done()
			return written, context.Cause(l.ctx)
		}
		n, err = l.w.Write(p[:n])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}
