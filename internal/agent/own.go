package agent

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/manifest"
)

// own gives files and directories to whom the bundle says. Done again, it changes nothing.
func (i *installation) own(ctx context.Context) (string, error) {
	accounts := accounts{layout: i.layout}
	root, err := os.OpenRoot(i.layout.generation(i.cluster, i.plan.generationID(i.manifest)))
	if err != nil {
		return "", localFault(err)
	}
	defer root.Close()
	for _, f := range i.manifest.Owners {
		uid, gid, err := accounts.ids(ctx, f.Owner)
		if err != nil {
			return "", err
		}
		if err := giveFile(root, f.Path, uid, gid); err != nil {
			return "", localFault(err)
		}
	}
	if len(i.manifest.Directories) == 0 {
		return fmt.Sprintf("%d files", len(i.manifest.Owners)), nil
	}
	data := i.layout.data(i.cluster)
	if err := durable.MkdirAll(data, 0o755); err != nil {
		return "", localFault(err)
	}
	for _, d := range i.manifest.Directories {
		uid, gid, err := accounts.ids(ctx, d.Owner)
		if err != nil {
			return "", err
		}
		if err := makeDirectory(data, d, uid, gid); err != nil {
			return "", localFault(err)
		}
	}
	return fmt.Sprintf("%d files, %d directories", len(i.manifest.Owners), len(i.manifest.Directories)), nil
}

func giveFile(root *os.Root, path string, uid, gid int) error {
	f, err := root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	return f.Sync()
}

// makeDirectory makes one directory below data, and those above it that are missing. A service may own one of those and
// put a link there, to be given something of somebody else's: no link is followed.
func makeDirectory(data string, d manifest.Directory, uid, gid int) error {
	at, err := unix.Open(data, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: data, Err: err}
	}
	path := data
	for part := range strings.SplitSeq(d.Path, "/") {
		path += "/" + part
		next, err := openOrMake(at, part)
		_ = unix.Close(at) // it was only looked into
		if err == unix.ENOTDIR || err == unix.ELOOP {
			return fault.New(fault.Conflict, "move it away on this host, then: coordinator hosts retry", "%s is to be a directory, and there is something else", path)
		}
		if err != nil {
			return &os.PathError{Op: "mkdir", Path: path, Err: err}
		}
		at = next
	}
	f := os.NewFile(uintptr(at), path)
	defer f.Close()
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	if err := f.Chmod(os.FileMode(d.Mode)); err != nil {
		return err
	}
	return f.Sync()
}

func openOrMake(at int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(at, name, flags, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	if err := unix.Mkdirat(at, name, 0o755); err != nil && err != unix.EEXIST {
		return -1, err
	}
	if fd, err = unix.Openat(at, name, flags, 0); err != nil {
		return -1, err
	}
	// The umask had its say.
	if err := unix.Fchmod(fd, 0o755); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, unix.Fsync(at)
}
