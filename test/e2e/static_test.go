//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Where every host is known beforehand, any web server and one command on each host are enough.
func TestAStaticInstallationNeedsNoCoordinator(t *testing.T) {
	l := newLab(t)
	cluster := exampleCluster(t, 3) + `
hosts:
  - {name: host1, address: 10.77.0.11, role: master}
  - {name: host2, address: 10.77.0.12, role: master}
  - {name: host3, address: 10.77.0.13, role: master}
  - {name: host4, address: 10.77.0.14, role: agent}
`
	c := newCoordinator(t, l, cluster)
	serveFiles(t, c.dir+"/genconf")
	l.up(4)
	// One host is handed the files and reaches no web server.
	if err := os.CopyFS(l.root(4)+"/srv/genconf", os.DirFS(c.dir+"/genconf")); err != nil {
		t.Fatal(err)
	}
	before := l.snapshot(4)

	install := "set -o pipefail; curl -fsS http://" + bridge + ":8080/install.sh | sh -s -- master"
	var runs sync.WaitGroup
	said, failed := make([]string, 5), make([]error, 5)
	for host, script := range map[int]string{1: install, 2: install, 3: install, 4: "sh /srv/genconf/install.sh agent"} {
		runs.Go(func() { said[host], failed[host] = l.run(nil, "exec", strconv.Itoa(host), "--", "bash", "-c", script) })
	}
	runs.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatalf("%v\nthe hosts said:\n%s", err, strings.Join(said, "\n"))
	}
	for host := 1; host <= 4; host++ {
		for _, step := range []string{"preflight", "fetch", "unpack", "start", "postflight"} {
			if !strings.Contains(said[host], step) {
				t.Errorf("install.sh on host%d does not say how %s went:\n%s", host, step, said[host])
			}
		}
		l.wantNoAgent(host)
	}
	wantEtcd(t, l, 1, 2, 3)
	l.mustSh(1, "/opt/demo/current/bin/etcdctl put greeting hello")
	if got := l.mustSh(4, "/opt/demo/current/bin/etcdctl get --print-value-only greeting"); got != "hello" {
		t.Errorf("through the agent's proxy the greeting is %q", got)
	}
	wantNoChange(t, "host4", before.changes(l.snapshot(4), append(installed, systemdsOwn...)...))

	// A role that was promised to other hosts is refused on this one, and nothing is touched.
	l.boot(5)
	out, err := l.run(nil, "exec", "5", "--", "bash", "-c", install)
	if err == nil || !strings.Contains(err.Error(), "10.77.0.15") || !strings.Contains(err.Error(), "remedy: ") {
		t.Errorf("a host that cluster.yaml does not list became a master: %v\n%s", err, out)
	}
	l.wantNoAgent(5)
}

// serveFiles is a web server that knows nothing of Muster.
func serveFiles(t *testing.T, dir string) {
	t.Helper()
	server := exec.Command("python3", "-m", "http.server", "8080", "--bind", bridge, "--directory", dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	eventually(t, time.Minute, "the web server answers", func() error {
		resp, err := http.Get("http://" + bridge + ":8080/install.sh")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}
