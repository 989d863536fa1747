package unpack

import (
	"context"
	"io"
	"io/fs"

	"muster/internal/manifest"
)

// Inspect reads a blob as Unpack would, with every rule of it, and writes nothing. visit is given the content of each
// regular file, which it need not read; for the others, content is nil.
func Inspect(ctx context.Context, r io.ReadSeeker, blob manifest.Blob, opt Options, visit func(path string, content io.Reader) error) error {
	lim, err := newLimits(blob, opt)
	if err != nil {
		return err
	}
	if err := verify(ctx, r, blob); err != nil {
		return err
	}
	return read(ctx, r, lim, inspector(visit))
}

type inspector func(path string, content io.Reader) error

func (v inspector) directory(string, fs.FileMode) error { return nil }

func (v inspector) link(name, _ string) error { return v(name, nil) }

func (v inspector) file(name string, _ fs.FileMode, content io.Reader) error { return v(name, content) }
