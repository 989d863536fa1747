package artifacts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"

	unarchive "muster/internal/archive"
	"muster/internal/cancel"
	"muster/internal/config"
	"muster/internal/manifest"
)

// scanArchive unpacks an archive, when it is the one that is pinned, and scans what is taken of it as a directory: the
// rules for packages are the same wherever the files come from.
func (s *sources) scanArchive(ctx context.Context, b *config.Bundle, pkg string, arch manifest.Arch, source config.Source, p *problems) (*tree, error) {
	shown := bundlePath(b, source.Path)
	f, err := s.root.Open(source.Path)
	if err != nil {
		p.failed(shown, err)
		return nil, nil
	}
	defer f.Close()
	if source.SHA256 != "" {
		if ok, err := s.pinned(ctx, f, pkg, arch, source, shown, p); err != nil || !ok {
			return nil, err
		}
	}
	if s.unpacked == nil {
		if s.unpacked, err = newScratch(); err != nil {
			return nil, err
		}
	}
	dir, into, err := s.unpacked.sub()
	if err != nil {
		return nil, err
	}
	found, err := unarchive.Extract(ctx, f, source.Path, source.Selection, into)
	if err = errors.Join(err, into.Close()); err != nil {
		return nil, err
	}
	for _, problem := range found {
		at := shown
		if problem.Path != "" {
			at += "/" + problem.Path
		}
		p.file(at, problem.Message, problem.Remedy)
	}
	if len(found) > 0 {
		return nil, nil
	}
	return scan(ctx, s.unpacked.root, dir, shown, p)
}

// pinned compares an archive with the digest that bundle.yaml has for it, before anything in it is interpreted.
func (s *sources) pinned(ctx context.Context, f *os.File, pkg string, arch manifest.Arch, source config.Source, shown string, p *problems) (bool, error) {
	h := sha256.New()
	if _, err := io.Copy(h, cancel.Reader(ctx, f)); err != nil {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		p.failed(shown, err)
		return false, nil
	}
	got := hex.EncodeToString(h.Sum(nil))
	if got == string(source.SHA256) {
		_, err := f.Seek(0, io.SeekStart)
		return true, err
	}
	problem := s.place.find("packages", pkg, "sources", string(arch), "sha256")
	if problem.Line == 0 {
		problem = s.place.find("packages", pkg, "sources", "all", "sha256")
	}
	problem.Message = "the SHA-256 of " + shown + " is " + got + ", and " + string(source.SHA256) + " is pinned"
	problem.Remedy = "get the archive again from where it came from; if it is to be another one, compare it with what its maker says and pin the new digest"
	p.add(problem)
	return false, nil
}
