package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/durable"
	"muster/internal/identity"
)

// What a crash leaves under a working name can hold the key of the root that is in use.
func TestTheRootKeyGoesOutWithItsRemains(t *testing.T) {
	for name, rotating := range map[string]bool{"at rest": false, "during a rotation": true} {
		t.Run(name, func(t *testing.T) {
			ca, dir := newCA(t, start)
			keyDir := dir
			if rotating {
				must(t, ca.Rotate(false, start))
				keyDir = filepath.Join(dir, "next")
			}
			key := read(t, filepath.Join(keyDir, "root.key"))
			// A file that was being written, and the directory of a finished rotation that was being removed.
			write(t, filepath.Join(keyDir, durable.TempPrefix+"a"), key, 0o600)
			must(t, os.Mkdir(filepath.Join(dir, durable.TempPrefix+"b"), 0o700))
			write(t, filepath.Join(dir, durable.TempPrefix+"b", "root.key"), key, 0o600)
			must(t, identity.RemoveRootKey(dir))
			if at := tree(t, dir); strings.Contains(at, durable.TempPrefix) {
				t.Errorf("remains:\n%.2000s", at)
			}

			// A removal that was cut short has taken the name away, and the next start the rest.
			write(t, filepath.Join(keyDir, durable.TempPrefix+"c"), key, 0o600)
			_, err := identity.Open(dir, ca.Cluster(), start)
			must(t, err)
			if at := tree(t, dir); strings.Contains(at, durable.TempPrefix) {
				t.Errorf("remains after the start:\n%.2000s", at)
			}
		})
	}
}
