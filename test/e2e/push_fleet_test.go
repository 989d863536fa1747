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

// pushing is how push is run, and how it is to end.
type pushing struct {
	code   int
	secret string   // what file descriptor 3 holds
	env    []string // beside the test's own
}

// anyEnd is the code of one that may fail for some hosts.
const anyEnd = -1

// pushWith runs push to the lab's hosts with a file as descriptor 3 and reads its report.
func (c *coordinator) pushWith(code int, secret string, args ...string) pushReport {
	c.t.Helper()
	return c.pushBy(pushing{code: code, secret: secret}, c.ssh("", args...)[1:]...)
}

// pushBy is the same with all the flags said. It may run beside another.
func (c *coordinator) pushBy(how pushing, args ...string) (r pushReport) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(how.secret), 0o600); err != nil {
		c.t.Error(err)
		return r
	}
	f, err := os.Open(file)
	if err != nil {
		c.t.Error(err)
		return r
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./coordinator", append([]string{"push", "-o", "json"}, args...)...)
	cmd.Dir, cmd.ExtraFiles, cmd.Env = c.dir, []*os.File{f}, append(os.Environ(), how.env...)
	// Without a terminal, wherever the test is run.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	exit := new(exec.ExitError)
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		c.t.Error(err)
		return r
	}
	code := cmd.ProcessState.ExitCode()
	if code != how.code && !(how.code == anyEnd && (code == 0 || code == 3)) {
		c.t.Errorf("push %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), code, how.code, stdout.String(), stderr.String())
	}
	if how.secret != "" && strings.Contains(stdout.String()+stderr.String(), strings.TrimSpace(how.secret)) {
		c.t.Errorf("the password is printed:\n%s%s", stdout.String(), stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil && (code == 0 || code == 3) {
		c.t.Errorf("%v: %s", err, stdout.String())
	}
	return r
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
