//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The short form of scripts/attack: all hosts get done, and the coordinator's memory stays within its bound. Times are for
// a machine that does nothing else.
func TestHostsGetDoneWhileTheCoordinatorIsAttacked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a network namespace needs root (sudo scripts/test)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(repository(), "scripts/attack"), "-hosts", "40", "-over", "8s", "-attackers", "300", "-for", "10s", "-times=false")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
