package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Rename moves oldPath to newPath on the same file system. The content must be on disk already: see SyncTree.
func Rename(oldPath, newPath string) error {
	if err := os.Rename(oldPath, newPath); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	from, to := filepath.Dir(oldPath), filepath.Dir(newPath)
	// The new name first: a crash in between may show both names, never none.
	if err := SyncDir(to); err != nil || from == to {
		return err
	}
	return SyncDir(from)
}

// RemoveAll removes path and everything below it; a missing path is success. A crash never leaves half a tree under
// the name: the tree loses its name first.
func RemoveAll(path string) error {
	path = filepath.Clean(path)
	if base := filepath.Base(path); base == "." || base == ".." || base == "/" {
		return fmt.Errorf("remove %q: refused, the path must end in a name", path)
	}
	tmp := tempPath(path)
	switch err := Rename(path, tmp); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EXDEV):
		// Mount points and overlays cannot be renamed; removal in place reports what is in the way.
		tmp = path
	case err != nil:
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// MkdirAll makes the directory path and its missing parents, each with exactly this mode whatever the umask. What
// exists already keeps its mode.
func MkdirAll(path string, mode os.FileMode) error {
	path = filepath.Clean(path)
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("make directory %s: a file is in the way; move it away", path)
	}
	parent := filepath.Dir(path)
	if parent == path {
		return fmt.Errorf("make directory: no such directory: %q", path)
	}
	if err := MkdirAll(parent, mode); err != nil {
		return err
	}
	if err := mkdir(path, mode); err != nil {
		// Somebody else may have made it in the meantime.
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return SyncDir(parent)
		}
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	return nil
}

// mkdir makes the directory under a working name, so that a crash cannot leave it with another mode.
func mkdir(path string, mode os.FileMode) error {
	tmp := tempPath(path)
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(tmp, mode.Perm()), SyncDir(tmp)); err != nil {
		os.Remove(tmp)
		return err
	}
	return publish(tmp, path)
}
