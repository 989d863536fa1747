// Package cancel lets long reads from what knows no context, such as a file, end with one. It knows nothing of what is read.
package cancel

import (
	"context"
	"io"
)

// Reader gives what r gives until ctx ends; then every read fails with the cause. A read that has begun is not broken off.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	r   io.Reader
}

func (c reader) Read(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(b)
}
