//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mirror is where nginx serves what genconf wrote: not where a coordinator would be, none of which runs.
const mirror = "http://" + bridge + ":8090"

// What docs/joining.md promises to those who hand over no SSH key: a plain web server, and install.sh on each host, which
// has one of curl, wget and python3.
func TestNginxAndInstallShAreEnough(t *testing.T) {
	l := newLab(t)
	c := newCoordinator(t, l, exampleCluster(t, 3)+`
hosts:
  - {name: host1, address: 10.77.0.11, role: master}
  - {name: host2, address: 10.77.0.12, role: master}
  - {name: host3, address: 10.77.0.13, role: master}
  - {name: host4, address: 10.77.0.14, role: agent}
`)
	safe := newSafe(t, l)
	log := serveNginx(t, map[string]string{"/genconf/": c.dir + "/genconf/", "/safe/": safe.dir + "/genconf/"})
	l.up(5)
	l.have(1, "curl")
	l.have(2, "wget")
	l.have(3, "python3")
	l.have(4, "curl")
	fetch := map[int]string{
		1: "curl -fsSO " + mirror + "/genconf/install.sh",
		2: "wget -q " + mirror + "/genconf/install.sh",
		3: "python3 -c 'import urllib.request as u; u.urlretrieve(\"" + mirror + "/genconf/install.sh\", \"install.sh\")'",
		4: "curl -fsSO " + mirror + "/genconf/install.sh",
	}
	for host, script := range fetch {
		l.mustSh(host, only+"cd /root && "+script)
	}
	before := map[int]tree{3: l.snapshot(3), 4: l.snapshot(4)}

	// A preflight shows every check, and that is all that it does.
	said, err := l.install(4, "agent --source "+mirror+"/genconf --preflight-only")
	if err != nil || !strings.Contains(said, "client-port-free") {
		t.Errorf("preflight: %v\n%s", err, said)
	}
	wantNoChange(t, "host4 after a preflight", before[4].changes(l.snapshot(4), systemdsOwn...))

	roles := map[int]string{1: "master", 2: "master", 3: "master", 4: "agent"}
	var runs sync.WaitGroup
	said4, failed := make([]string, 5), make([]error, 5)
	for host, role := range roles {
		runs.Go(func() { said4[host], failed[host] = l.install(host, role+" --source "+mirror+"/genconf") })
	}
	runs.Add(1)
	go func() { defer runs.Done(); safe.wantSecretsHandedOver(5) }()
	runs.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatalf("%v\nthe hosts said:\n%s", err, strings.Join(said4, "\n"))
	}
	for host := range roles {
		l.wantNoAgent(host)
	}
	wantEtcd(t, l, 1, 2, 3)
	if members := strings.Split(l.mustSh(1, "/opt/demo/current/bin/etcdctl member list"), "\n"); len(members) != 3 || strings.Count(strings.Join(members, "\n"), ", started, ") != 3 {
		t.Errorf("the members of etcd are\n%s", strings.Join(members, "\n"))
	}
	l.mustSh(1, "/opt/demo/current/bin/etcdctl put greeting hello")
	if got := l.mustSh(4, "/opt/demo/current/bin/etcdctl get --print-value-only greeting"); got != "hello" {
		t.Errorf("through the agent's proxy the greeting is %q", got)
	}
	for host := range before {
		wantNoChange(t, fmt.Sprintf("host%d", host), before[host].changes(l.snapshot(host), append(installed, systemdsOwn...)...))
	}

	// Away again, by the same script: first all but the data, then that, too.
	source := " --source " + mirror + "/genconf"
	if said, err := l.install(3, "--uninstall"+source); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	wantNoChange(t, "host3 after --uninstall", before[3].changes(l.snapshot(3), append(systemdsOwn, `/var/lib/demo`)...))
	wantNoServices(t, l, 3)
	if _, err := os.Stat(filepath.Join(l.root(3), "var/lib/demo/etcd/member")); err != nil {
		t.Errorf("the data should be left: %v", err)
	}
	if said, err := l.install(3, "--uninstall --purge"+source); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	wantNoChange(t, "host3 after --uninstall --purge", before[3].changes(l.snapshot(3), systemdsOwn...))
	wantEtcd(t, l, 1, 2)

	// Nothing was asked for that is not there, and nothing but the script and blobs was needed.
	served := readFile(t, log)
	for line := range strings.Lines(served) {
		if !regexp.MustCompile(`^((200|206) GET /(genconf|safe)/(install\.sh|blobs/[0-9a-f]{2}/[0-9a-f]{64})|200 HEAD /(genconf|safe)/install\.sh) `).MatchString(line) {
			t.Errorf("nginx was asked for: %s", line)
		}
	}
	if n := strings.Count(served, "GET /genconf/install.sh "); n < 5 {
		t.Errorf("nginx served install.sh %d times:\n%s", n, served)
	}
	if status := c.run("status"); status.code == 0 {
		t.Errorf("a coordinator ran:\n%s", status.all())
	}
}

// only makes a shell find one program to fetch with.
const only = `[ ! -d /run/only ] || PATH=/run/only; `

// have leaves the host with one program to fetch with. The wget is busybox's: the least that a host can have.
func (l *lab) have(host int, tool string) {
	l.t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		l.t.Fatalf("%v; scripts/prepare installs it", err)
	}
	script := `mkdir /run/only && ln -s /bin/* /sbin/* /usr/local/bin/* /run/only/ 2>/dev/null
		rm -f /run/only/curl /run/only/wget /run/only/python*
		if [ ` + tool + ` = wget ]; then cat >/run/only/wget && chmod 755 /run/only/wget; else ln -s "$(command -v ` + tool + `)" /run/only/` + tool + `; fi`
	if _, err := l.run([]byte(readFile(l.t, busybox)), "exec", strconv.Itoa(host), "--", "sh", "-c", script); err != nil {
		l.t.Fatal(err)
	}
}

// install runs the install.sh in root's directory.
func (l *lab) install(host int, arguments string) (string, error) {
	return l.sh(host, only+"cd /root && sh ./install.sh "+arguments+" 2>&1")
}

// serveNginx is Debian's nginx with a configuration such as anybody would write. It gives the path of its log: status,
// method and path of each request.
func serveNginx(t *testing.T, directories map[string]string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v; scripts/prepare installs it", err)
	}
	dir := t.TempDir()
	var locations strings.Builder
	for path, served := range directories {
		fmt.Fprintf(&locations, "    location %s { alias %s; }\n", path, served)
	}
	config := fmt.Sprintf(`user root;
daemon off;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 256; }
http {
  log_format short '$status $request';
  access_log %[1]s/access.log short;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  sendfile on;
  server {
    listen %[2]s;
%[3]s  }
}
`, dir, strings.TrimPrefix(mirror, "http://"), locations.String())
	writeFile(t, filepath.Join(dir, "nginx.conf"), config)
	server := exec.Command(program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf"))
	var out strings.Builder
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		// Its workers end with it only when it is asked to.
		_ = server.Process.Signal(syscall.SIGQUIT)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = server.Process.Kill()
			t.Error("nginx did not end")
		}
		if t.Failed() {
			t.Logf("nginx says\n%s%s", out.String(), tail(filepath.Join(dir, "error.log"), 4<<10))
		}
	})
	eventually(t, time.Minute, "nginx answers", func() error {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, out.String())
		default:
		}
		resp, err := http.Get(mirror + "/genconf/install.sh")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	return filepath.Join(dir, "access.log")
}
