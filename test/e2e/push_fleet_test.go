//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pushReport is what push -o json writes.
type pushReport struct {
	Pushed, Failed int
	Hosts          []struct{ Host, Result, Class, Message, Remedy, Note string }
}

func (r pushReport) class(host string) string {
	for _, h := range r.Hosts {
		if h.Host == host {
			return h.Class
		}
	}
	return "not pushed to"
}

// pushWith runs push with a file as descriptor 3 and reads its report.
func (c *coordinator) pushWith(code int, secret string, args ...string) pushReport {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		c.t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./coordinator", append(c.ssh("push", "-o", "json"), args...)...)
	cmd.Dir, cmd.ExtraFiles = c.dir, []*os.File{f}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	exit := new(exec.ExitError)
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if cmd.ProcessState.ExitCode() != code {
		c.t.Fatalf("push %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), code, stdout.String(), stderr.String())
	}
	if secret != "" && strings.Contains(stdout.String()+stderr.String(), strings.TrimSpace(secret)) {
		c.t.Errorf("the password is printed:\n%s%s", stdout.String(), stderr.String())
	}
	var r pushReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		c.t.Fatalf("%v: %s", err, stdout.String())
	}
	return r
}

// A fleet as it is: sudo that wants a password, also on a terminal only; a host behind another one; one that hangs.
// What failed is known to status and to push --retry-failed.
func TestPushToAFleetAsItIs(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(4, "--requiretty", "2")
	for _, h := range []int{1, 2} {
		l.mustSh(h, `echo "admin:geheim-42" | chpasswd; rm -f /etc/sudoers.d/admin /etc/sudoers.d/lab; echo "admin ALL=(ALL) PASSWD: ALL" >/etc/sudoers.d/zz-password; chmod 440 /etc/sudoers.d/zz-password; echo "Defaults passwd_tries=1" >>/etc/sudoers.d/zz-password`)
	}
	l.mustSh(3, "mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp; mount -t tmpfs -o size=64k,mode=1777 tmpfs /var/tmp; rm -f /usr/bin/curl /usr/bin/wget /usr/bin/python3*")
	l.fault("freeze", 4)

	r := c.pushWith(3, "", "--role", "agent", "--connect-timeout", "3s", "10.77.0.[11-12]", address(4))
	for host, class := range map[string]string{address(1): "sudo-password", address(2): "sudo-password", address(4): "timeout"} {
		if r.class(host) != class {
			t.Errorf("%s: class %q, want %q: %+v", host, r.class(host), class, r)
		}
	}
	for _, h := range []int{1, 2} {
		if out := l.mustSh(h, "ls -d /var/tmp/muster-push-* /tmp/muster-push-* /var/lib/bootstrap-agent 2>/dev/null; true"); out != "" {
			t.Errorf("host%d, which was not pushed to, keeps %s", h, out)
		}
	}
	if s := c.must("status"); !strings.Contains(s, "--ask-sudo") || !strings.Contains(s, "sudo-password") {
		t.Errorf("status doesn't tell what to do:\n%s", s)
	}
	l.fault("thaw", 4)

	r = c.pushWith(3, "falsch-43\n", "--retry-failed", "--sudo-fd", "3")
	if r.class(address(1)) != "sudo-wrong-password" || r.class(address(2)) != "sudo-wrong-password" || r.class(address(4)) != "" {
		t.Errorf("with a wrong password: %+v", r)
	}
	if r = c.pushWith(0, "geheim-42\n", "--retry-failed", "--sudo-fd", "3"); r.Pushed != 2 {
		t.Errorf("with the right password: %+v", r)
	}
	// host3 lets nobody in but host1.
	l.mustSh(3, `printf 'Match Address *,!10.77.0.11\n DenyUsers *\n' >>/etc/ssh/sshd_config; systemctl reload ssh`)
	if r = c.pushWith(3, "", "--role", "agent", address(3)); r.class(address(3)) != "auth" {
		t.Errorf("straight to the host behind another one: %+v", r)
	}
	if r = c.pushWith(0, "", "--retry-failed", "-J", "admin@"+address(1)); len(r.Hosts) != 1 || !strings.Contains(r.Hosts[0].Note, "neither curl nor wget") {
		t.Errorf("the host that can't fetch the agent: %+v", r)
	}
	for _, h := range []int{1, 2, 3, 4} {
		c.until(h, time.Minute, "waits for the roster", func(h host) bool { return h.Phase == "ready" })
	}
	if out := l.mustSh(1, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -c '[g]eheim-42' || true"); strings.TrimSpace(out) != "0" {
		t.Errorf("the password is in the arguments or the environment of %s processes", out)
	}
}

// Ctrl-C in the middle: the hosts that had not finished keep nothing, and the next push finds them as they were.
func TestAPushThatIsInterruptedLeavesNothing(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(2)
	l.throttle(2, "8mbit")
	cmd := exec.Command("./coordinator", c.ssh("push", "--role", "agent", "10.77.0.[11-12]")...)
	cmd.Dir = c.dir
	said := filepath.Join(t.TempDir(), "said")
	log, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "host1 is pushed to, and host2 has a part of the agent", func() error {
		if !strings.Contains(readFile(t, said), address(1)+": pushed") {
			return errors.New("host1 is not done")
		}
		if size := l.mustSh(2, "cat /var/tmp/muster-push-*/bootstrap-agent 2>/dev/null | wc -c"); strings.TrimSpace(size) == "0" {
			return errors.New("nothing yet")
		}
		return nil
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("ended with %v", err)
	}
	if out := readFile(t, said); !strings.Contains(out, "interrupted") || !strings.Contains(out, "pushed to 1 of 2 hosts") {
		t.Errorf("it says:\n%s", out)
	}
	l.unthrottle(2)
	eventually(t, 20*time.Second, "host2 has nothing left", func() error {
		if left := l.mustSh(2, "ls -d /var/tmp/muster-push-* /tmp/muster-push-* /var/lib/bootstrap-agent 2>/dev/null; pgrep -u admin -l sh || true"); strings.TrimSpace(left) != "" {
			return errors.New(left)
		}
		return nil
	})
	if r := c.pushWith(0, "", "--retry-failed"); r.Pushed != 1 || r.class(address(2)) != "" {
		t.Errorf("pushing to what was interrupted: %+v", r)
	}
}
