package artifacts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"muster/internal/cancel"
	"muster/internal/durable"
	"muster/internal/manifest"
)

// stagePrefix begins the names of directories in which generations are written.
const stagePrefix = ".genconf-"

// stage is a generation that is being written, beside the place that it is to take.
type stage struct {
	dir string
	// previous is the directory of the generation to be replaced; blobs that it has already are taken from there.
	previous string
	// lock keeps other runs from taking the stage for a leftover.
	lock *os.File
	// reused counts the bytes taken from the previous generation.
	reused atomic.Int64
}

// newStage makes a stage beside out and removes what earlier crashes left there.
func newStage(out string) (*stage, error) {
	parent := filepath.Dir(out)
	if err := durable.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	// Two runs beside each other: neither may remove the stage of the other before that has locked it.
	gate, err := os.Open(parent)
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	if err := unix.Flock(int(gate.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", parent, err)
	}
	if err := removeLeftovers(parent); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, stagePrefix)
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, previous: out}
	if s.lock, err = lockDir(dir); err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

// lockDir locks a directory. The error is EWOULDBLOCK if another process has it locked.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func removeLeftovers(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), stagePrefix) {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		lock, err := lockDir(dir)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove what an interrupted run left: %w", err)
		}
		if err := errors.Join(os.RemoveAll(dir), lock.Close()); err != nil {
			return fmt.Errorf("remove what an interrupted run left: %w", err)
		}
	}
	return nil
}

// discard removes the stage. After commit it removes the generation that was replaced.
func (s *stage) discard() error {
	err := os.RemoveAll(s.dir)
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// mkdir makes a directory of the generation with its parents.
func (s *stage) mkdir(path string) error { return mkdirAll(s.dir, path) }

// mkdirAll makes path below root with mode 0755 whatever the umask. The caller syncs.
func mkdirAll(root, path string) error {
	at := root
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		at = filepath.Join(at, part)
		switch err := os.Mkdir(at, 0o755); {
		case errors.Is(err, os.ErrExist):
		case err != nil:
			return err
		default:
			if err := os.Chmod(at, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes a file of the generation.
func (s *stage) write(path string, data []byte) error {
	if err := s.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	return writeNew(filepath.Join(s.dir, path), data)
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	// The umask had its say when the file was opened.
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// blob writes a blob from memory.
func (s *stage) blob(data []byte) (manifest.Blob, error) {
	b := manifest.Blob{Digest: digestOf(data), Size: int64(len(data))}
	path := manifest.BlobPath(b.Digest)
	if _, err := os.Lstat(filepath.Join(s.dir, path)); err == nil {
		return b, nil
	}
	return b, s.write(path, data)
}

// stream writes a blob whose digest is known only when it is complete.
func (s *stage) stream(fill func(io.Writer) error) (manifest.Blob, error) {
	f, err := os.CreateTemp(s.dir, "blob-")
	if err != nil {
		return manifest.Blob{}, err
	}
	h := &hashed{w: f, h: sha256.New()}
	err = fill(h)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return manifest.Blob{}, errors.Join(err, os.Remove(f.Name()))
	}
	b := manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(h.h.Sum(nil))), Size: h.n}
	path := manifest.BlobPath(b.Digest)
	if err := s.mkdir(filepath.Dir(path)); err != nil {
		return manifest.Blob{}, err
	}
	return b, os.Rename(f.Name(), filepath.Join(s.dir, path))
}

// reuse takes a blob from the previous generation, if it is there and whole.
func (s *stage) reuse(ctx context.Context, b manifest.Blob) bool {
	path := manifest.BlobPath(b.Digest)
	from, to := filepath.Join(s.previous, path), filepath.Join(s.dir, path)
	if _, err := os.Lstat(to); err == nil {
		return true
	}
	if verifyBlob(ctx, from, b) != nil || s.mkdir(filepath.Dir(path)) != nil {
		return false
	}
	// Whatever stands in the way of linking, the blob can still be made again.
	if os.Link(from, to) != nil {
		return false
	}
	if os.Chmod(to, 0o644) != nil {
		os.Remove(to)
		return false
	}
	s.reused.Add(b.Size)
	return true
}

// link takes a file over as it is.
func (s *stage) link(from, path string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	if err := s.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	return os.Link(from, filepath.Join(s.dir, path))
}

// hashed counts and hashes what passes through.
type hashed struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (h *hashed) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.h.Write(p[:n])
	h.n += int64(n)
	return n, err
}

// verifyBlob reads a blob and compares its size and digest.
func verifyBlob(ctx context.Context, path string, b manifest.Blob) error {
	if err := checkSize(path, b); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, cancel.Reader(ctx, f)); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != string(b.Digest) {
		return damaged(path, "its SHA-256 is "+got)
	}
	return nil
}

// checkSize says whether a blob is there with the right size.
func checkSize(path string, b manifest.Blob) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return damaged(path, "it is missing")
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return damaged(path, "it is not a regular file")
	case info.Size() != b.Size:
		return damaged(path, fmt.Sprintf("it has %d bytes instead of %d", info.Size(), b.Size))
	}
	return nil
}
