//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Uninstalling leaves a host as it was before; its data stays unless it is to go, too.
func TestUninstallLeavesTheHostAsItWas(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(2)
	before := []tree{1: l.snapshot(1), 2: l.snapshot(2)}
	c.push("master", 1)
	c.push("agent", 2)
	c.wait(2)
	l.mustSh(1, "/opt/demo/current/bin/etcdctl put kept yes")

	l.uninstall(1, "--cluster demo")
	if _, err := os.Stat(filepath.Join(l.root(1), "var/lib/demo/etcd/member")); err != nil {
		t.Errorf("the data should be left, without --purge: %v", err)
	}
	wantNoChange(t, "host1 after uninstall", before[1].changes(l.snapshot(1), append(systemdsOwn, `/var/lib/demo`)...))
	wantNoServices(t, l, 1)

	// The data is taken up by an installation that comes later.
	c.must("hosts", "remove", "--yes", address(1))
	c.push("master", 1)
	c.wait(2)
	if got := l.mustSh(1, "/opt/demo/current/bin/etcdctl get --print-value-only kept"); got != "yes" {
		t.Errorf("installed again over its old data, etcd answers %q, want yes", got)
	}

	for host := 1; host <= 2; host++ {
		l.uninstall(host, "--cluster demo --purge")
		wantNoChange(t, "a host after uninstall --purge", before[host].changes(l.snapshot(host), systemdsOwn...))
		wantNoServices(t, l, host)
		// There is nothing left to remove, and that is no error.
		l.uninstall(host, "--cluster demo --purge")
	}
	if out, err := l.sh(1, agentProgram+" uninstall --cluster ../etc --purge"); err == nil || !strings.Contains(err.Error(), "remedy: ") {
		t.Errorf("a name that is a path was not refused: %s, %v", out, err)
	}
}

const agentProgram = "/run/muster-test/bootstrap-agent"

// uninstall runs the bootstrap agent of this test in the host, which has none of its own any more.
func (l *lab) uninstall(host int, arguments string) {
	l.t.Helper()
	program := readFile(l.t, program("bootstrap-agent-linux-"+runtime.GOARCH))
	script := "mkdir -p /run/muster-test && cat >" + agentProgram + " && chmod 700 " + agentProgram + " && exec " + agentProgram + " uninstall " + arguments
	if _, err := l.run([]byte(program), "exec", strconv.Itoa(host), "--", "sh", "-c", script); err != nil {
		l.t.Fatal(err)
	}
}

// wantNoServices asks systemd, which may remember what is on the disk no more.
func wantNoServices(t *testing.T, l *lab, host int) {
	t.Helper()
	if units := l.mustSh(host, "systemctl list-units --all --no-legend 'demo*'; systemctl list-unit-files --no-legend 'demo*' || true"); units != "" {
		t.Errorf("systemd of host%d still knows:\n%s", host, units)
	}
	if programs := l.mustSh(host, "pgrep -a etcd || true"); programs != "" {
		t.Errorf("on host%d still runs:\n%s", host, programs)
	}
}
