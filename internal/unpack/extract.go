package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
)

// extract makes the staging directory, complete and on disk.
func extract(ctx context.Context, r io.ReadSeeker, lim limits, staging string, opt Options) error {
	if err := os.Mkdir(staging, 0o700); err != nil {
		return localFault(staging, err)
	}
	root, err := os.OpenRoot(staging)
	if err != nil {
		return localFault(staging, err)
	}
	defer root.Close()
	mode := opt.Mode.Perm()
	if mode == 0 {
		mode = 0o755
	}
	x := &extractor{root: root, staging: staging, opt: opt, chown: os.Geteuid() == 0, dirs: map[string]fs.FileMode{".": mode}}
	if err := read(ctx, r, lim, x); err != nil {
		return err
	}
	if err := x.finish(); err != nil {
		return x.failed(err)
	}
	if err := durable.SyncTree(staging); err != nil {
		return x.failed(err)
	}
	return nil
}

// extractor writes below root. Nobody else can enter the staging directory, and the names that it is given never lead
// through a link; root is there for the case that this is wrong.
type extractor struct {
	root    *os.Root
	staging string
	opt     Options
	chown   bool
	// dirs have their modes set at the end, since files must be made in them first.
	dirs map[string]fs.FileMode
}

func (x *extractor) directory(name string, perm fs.FileMode) error {
	if _, implied := x.dirs[name]; !implied {
		if err := x.root.Mkdir(name, 0o700); err != nil {
			return x.failed(err)
		}
	}
	x.dirs[name] = perm
	return nil
}

func (x *extractor) file(name string, perm fs.FileMode, content io.Reader) error {
	if x.opt.Transform != nil {
		return x.transformed(name, perm, content)
	}
	f, err := x.create(name)
	if err != nil {
		return x.failed(err)
	}
	readErr, writeErr := Copy(f, content)
	if readErr != nil {
		f.Close()
		return readErr
	}
	return x.complete(name, f, perm, writeErr)
}

func (x *extractor) transformed(name string, perm fs.FileMode, content io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(content, MaxTransform))
	if err != nil {
		return err
	}
	data, err = x.opt.Transform(name, data)
	if err != nil {
		return untransformed(name, err)
	}
	if len(data) > 4*MaxTransform {
		return untransformed(name, fmt.Errorf("it grows to %d bytes, at most %d are allowed", len(data), 4*MaxTransform))
	}
	f, err := x.create(name)
	if err != nil {
		return x.failed(err)
	}
	_, err = f.Write(data)
	return x.complete(name, f, perm, err)
}

// create makes a new file and never opens an old one.
func (x *extractor) create(name string) (*os.File, error) {
	return x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
}

// complete gives the open file its owner, mode and time.
func (x *extractor) complete(name string, f *os.File, perm fs.FileMode, err error) error {
	if err == nil {
		err = x.own(f, perm)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = x.root.Chtimes(name, epoch, epoch)
	}
	if err != nil {
		return x.failed(err)
	}
	return nil
}

// own works on the open file: a name could have become another file's.
func (x *extractor) own(f *os.File, perm fs.FileMode) error {
	if x.chown {
		if err := f.Chown(x.opt.UID, x.opt.GID); err != nil {
			return err
		}
	}
	return f.Chmod(perm)
}

func (x *extractor) link(name, target string) error {
	if err := x.root.Symlink(target, name); err != nil {
		return x.failed(err)
	}
	if x.chown {
		if err := x.root.Lchown(name, x.opt.UID, x.opt.GID); err != nil {
			return x.failed(err)
		}
	}
	return nil
}

// finish gives the directories their owners, modes and times, the innermost first.
func (x *extractor) finish() error {
	names := make([]string, 0, len(x.dirs))
	for name := range x.dirs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		f, err := x.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(x.own(f, x.dirs[name]), f.Close()); err != nil {
			return err
		}
		if err := x.root.Chtimes(name, epoch, epoch); err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) failed(err error) error { return localFault(x.staging, err) }
