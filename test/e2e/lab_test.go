//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lab is scripts/lab: hosts 1..N at 10.77.0.(10+I), and the faults to try.
type lab struct {
	t     *testing.T
	cloud *cloud // from the first instance on
}

// bridge is the machine's own address in the lab, where coordinators listen.
const bridge = "10.77.0.1"

// newLab begins with no host and ends with none.
func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: hosts in network namespaces need root (sudo scripts/test)")
	}
	l := &lab{t: t}
	l.do("down")
	l.do("net")
	t.Cleanup(func() { l.do("down") })
	return l
}

// run gives the output of one lab command, and in the error what it said beside.
func (l *lab) run(stdin []byte, args ...string) (string, error) {
	defer slow(l.t, "lab", args, time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, labProgram(), args...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("lab %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// slow tells of a command that took long, so that the log of a test shows where its time went.
func slow(t *testing.T, program string, args []string, began time.Time) {
	if took := time.Since(began); took > 2*time.Second {
		t.Logf("%s %.60s took %.1f s", program, strings.Join(args, " "), took.Seconds())
	}
}

func (l *lab) do(args ...string) string {
	l.t.Helper()
	out, err := l.run(nil, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lab) up(n int, options ...string) {
	l.t.Helper()
	l.do(append([]string{"up", strconv.Itoa(n)}, options...)...)
}

func (l *lab) boot(host int, options ...string) {
	l.t.Helper()
	l.do(append([]string{"boot", strconv.Itoa(host)}, options...)...)
}

// bootWith boots a host by cloud-init and does not wait for it.
func (l *lab) bootWith(host int, userData string) {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "user-data")
	if err := os.WriteFile(file, []byte(userData), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.boot(host, "--no-wait", "--user-data", fmt.Sprintf("%d=%s", host, file))
}

// fault is kill, restart, partition, heal, freeze or thaw.
func (l *lab) fault(kind string, host int, options ...string) {
	l.t.Helper()
	l.do(append([]string{kind, strconv.Itoa(host)}, options...)...)
}

// root is the host's file system as seen from outside, upper only what it has changed of the image.
func (l *lab) root(host int) string {
	l.t.Helper()
	return l.do("root", strconv.Itoa(host))
}

func (l *lab) upper(host int) string {
	l.t.Helper()
	return filepath.Join(filepath.Dir(l.root(host)), "disk/upper")
}

// sh runs a shell script as root in the host, without sshd.
func (l *lab) sh(host int, script string) (string, error) {
	return l.run(nil, "exec", strconv.Itoa(host), "--", "sh", "-c", script)
}

func (l *lab) mustSh(host int, script string) string {
	l.t.Helper()
	out, err := l.sh(host, script)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// throttle bounds what the host can receive, until the link is made anew or unthrottle.
func (l *lab) throttle(host int, rate string) {
	l.t.Helper()
	l.tc("replace", "dev", link(host), "root", "tbf", "rate", rate, "burst", "64kb", "latency", "500ms")
}

func (l *lab) unthrottle(host int) {
	l.t.Helper()
	l.tc("del", "dev", link(host), "root")
}

func (l *lab) tc(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("tc", append([]string{"qdisc"}, args...)...).CombinedOutput(); err != nil {
		l.t.Fatalf("tc qdisc %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// received is how many bytes went to the host since its link was made, which is at each of its boots.
func (l *lab) received(host int) int64 {
	l.t.Helper()
	text, err := os.ReadFile("/sys/class/net/" + link(host) + "/statistics/tx_bytes")
	if err != nil {
		l.t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// link is the machine's end of the host's cable.
func link(host int) string { return "muster-h" + strconv.Itoa(host) }

func address(host int) string { return "10.77.0." + strconv.Itoa(10+host) }

func addresses(hosts ...int) []string {
	var list []string
	for _, h := range hosts {
		list = append(list, address(h))
	}
	return list
}
