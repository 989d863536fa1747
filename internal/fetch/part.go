package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"muster/internal/cancel"
	"muster/internal/manifest"
)

// part is the beginning of a blob on disk. It never grows beyond the blob's size.
type part struct {
	file *os.File
	hash hash.Hash
	blob manifest.Blob
	have int64
	// owner is the source that all the bytes came from, nil if they came from several or from an earlier run.
	owner *source
}

// openPart opens or makes the part and takes up what an earlier run left in it.
func openPart(ctx context.Context, path string, blob manifest.Blob) (*part, error) {
	return open(ctx, path, os.O_CREATE, blob)
}

// openExisting opens a file as if it were a part.
func openExisting(ctx context.Context, path string, blob manifest.Blob) (*part, error) {
	return open(ctx, path, 0, blob)
}

func open(ctx context.Context, path string, flags int, blob manifest.Blob) (*part, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return nil, err
	}
	p := &part{file: file, hash: sha256.New(), blob: blob}
	if err := p.resume(ctx); err != nil {
		file.Close()
		return nil, err
	}
	return p, nil
}

func (p *part) resume(ctx context.Context) error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > p.blob.Size {
		return p.discard()
	}
	p.have, err = io.Copy(p.hash, cancel.Reader(ctx, p.file))
	return err
}

// write appends what came from a source.
func (p *part) write(data []byte, from *source) error {
	switch {
	case p.have == 0:
		p.owner = from
	case p.owner != from:
		p.owner = nil
	}
	n, err := p.file.Write(data)
	p.hash.Write(data[:n])
	p.have += int64(n)
	return err
}

// discard empties the part.
func (p *part) discard() error {
	p.have, p.owner = 0, nil
	p.hash.Reset()
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

func (p *part) complete() bool { return p.have == p.blob.Size }

func (p *part) matches() bool {
	return p.complete() && hex.EncodeToString(p.hash.Sum(nil)) == string(p.blob.Digest)
}

func (p *part) sync() error  { return p.file.Sync() }
func (p *part) close() error { return p.file.Close() }
