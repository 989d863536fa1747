package bundle

import (
	"os"
	"path/filepath"
	"time"
)

// kept is how long an unpacked bundle stays that nobody uses.
const kept = 30 * 24 * time.Hour

// used notes that a bundle was used, and removes those that were not for long. Neither is worth a failure: a bundle that
// is gone is unpacked again, one that stays only takes room.
func used(cache, dir string) {
	now := time.Now()
	_ = os.Chtimes(dir, now, now)
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > kept {
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}
