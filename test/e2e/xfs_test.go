//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A work directory that has to be XFS: a host without is told so and nothing is installed; with it, it goes on.
func TestTheDatacenterWantsXFS(t *testing.T) {
	l, c := newDatacenter(t, "cluster-static.yaml", "work_dir_file_system: any", "work_dir_file_system: xfs",
		"master_min_disk: 2GiB", "master_min_disk: 200MiB\n  store_quota: 64MiB")
	l.up(1)
	// The bus's part is left alone; a master and its store are enough to lie on the disk.
	c.want(3, c.ssh("deploy", "--timeout", "2m", "master="+address(1))...)
	if found := c.checksOf(1)["work-dir-file-system"]; !strings.HasPrefix(found, "critical") || !strings.Contains(found, "xfs is needed") {
		t.Fatalf("the file system of the work directory is %q", found)
	}
	if out, err := l.sh(1, "test ! -e /opt/demo"); err != nil {
		t.Errorf("something was installed: %s", out)
	}

	mountXFS(t, l, 1, "/var/lib/demo/work")
	c.must("hosts", "retry", "host1")
	c.untilPhase(1, "done")
	if found := c.checksOf(1)["work-dir-file-system"]; !strings.HasPrefix(found, "ok") {
		t.Errorf("the file system of the work directory is %q", found)
	}
	if kind := strings.TrimSpace(l.mustSh(1, "stat -f -c %T /var/lib/demo/work/store")); kind != "xfs" {
		t.Errorf("the store is on %s", kind)
	}
}

// mountXFS gives a host a disk with XFS, made with its defaults, which have ftype=1.
func mountXFS(t *testing.T, l *lab, host int, at string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("truncate", "-s", "512M", image)
	run("mkfs.xfs", "-q", image)
	device := run("losetup", "--find", "--show", image)
	t.Cleanup(func() {
		_, _ = l.sh(host, "systemctl stop demo.target; umount -l "+at)
		run("losetup", "--detach", device)
	})
	numbers := strings.Fields(run("stat", "-c", "%Hr %Lr", device))
	l.mustSh(host, "mkdir -p "+at+" && mknod /root/disk b "+numbers[0]+" "+numbers[1]+" && mount -t xfs /root/disk "+at)
}
