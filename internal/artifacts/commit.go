package artifacts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
)

// commit puts the stage in the place of the previous generation, in one step: at any time there is one or the other.
// Afterwards the stage is what was replaced.
func (s *stage) commit() error {
	if err := durable.SyncTree(s.dir); err != nil {
		return err
	}
	out, parent := s.previous, filepath.Dir(s.previous)
	// An empty directory is replaced, too: rename does that by itself.
	err := unix.Renameat2(unix.AT_FDCWD, s.dir, unix.AT_FDCWD, out, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) {
		err = os.Rename(s.dir, out)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("replace %s: the file system cannot exchange directories (it may be a network one); "+
			"use --out on a local one, or remove %s first", out, out)
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", out, err)
	}
	return durable.SyncDir(parent)
}
