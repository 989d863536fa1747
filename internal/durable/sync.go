package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SyncDir puts the directory's list of names on disk.
func SyncDir(dir string) error {
	if err := syncPath(dir); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// few is the size of a tree up to which its files are cheaper to sync one by one than with everything else that is
// being written to the file system.
const few = 64

// SyncTree puts every file and directory below dir, and dir itself, on disk. Symbolic links are not followed.
func SyncTree(dir string) error {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && (e.IsDir() || e.Type().IsRegular()) {
			paths = append(paths, path)
		}
		return err
	})
	if err == nil && len(paths) > few {
		// One flush writes everything in one go, and makes each sync below nearly free.
		err = syncFileSystem(dir)
	}
	if err != nil {
		return fmt.Errorf("sync tree: %w", err)
	}
	// Before Linux 5.8 the flush hides write errors, so the files are asked one by one in any case.
	for _, path := range paths {
		if err := syncPath(path); err != nil {
			return fmt.Errorf("sync tree: %w", err)
		}
	}
	return nil
}

func syncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil && !errors.Is(err, unix.ENOSYS) {
		return &fs.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
