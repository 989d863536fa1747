package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TempPrefix begins the name of everything that is not finished yet.
const TempPrefix = ".muster-tmp-"

// tempPath returns a fresh working name beside path.
func tempPath(path string) string {
	return filepath.Join(filepath.Dir(path), TempPrefix+rand.Text())
}

// CleanTemp removes what an interrupted operation left in dir; a missing dir is clean. The caller makes sure that no
// other operation is under way there.
func CleanTemp(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clean up unfinished files: %w", err)
	}
	removed := false
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), TempPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("clean up unfinished files: %w", err)
		}
		removed = true
	}
	if !removed {
		return nil
	}
	return SyncDir(dir)
}
