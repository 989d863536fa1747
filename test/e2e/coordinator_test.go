//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// coordinator is the operator's directory: copies of the programs, cluster.yaml, genconf's output, the state, and the
// serving process if it runs.
type coordinator struct {
	t     *testing.T
	lab   *lab
	dir   string
	serve *exec.Cmd
	ended chan error
}

// file is one that cluster.yaml names, beside it.
type file struct{ name, text string }

// newCoordinator generates what cluster.yaml asks for.
func newCoordinator(t *testing.T, l *lab, cluster string, more ...file) *coordinator {
	t.Helper()
	c := &coordinator{t: t, lab: l, dir: t.TempDir()}
	copyPrograms(t, c.dir)
	for _, f := range more {
		writeFile(t, filepath.Join(c.dir, f.name), f.text)
	}
	writeFile(t, filepath.Join(c.dir, "cluster.yaml"), clusterHere(t, c.dir, cluster))
	c.must("genconf")
	return c
}

// newSite is a lab, and a coordinator that serves in it.
func newSite(t *testing.T, cluster string, more ...file) (*lab, *coordinator) {
	t.Helper()
	l := newLab(t)
	c := newCoordinator(t, l, cluster, more...)
	c.start()
	return l, c
}

// exampleCluster is the example's cluster.yaml with another number of masters.
func exampleCluster(t *testing.T, masters int) string {
	t.Helper()
	text := readFile(t, filepath.Join(example(), "cluster.yaml"))
	with := strings.Replace(text, "master: {count: 3}", "master: {count: "+strconv.Itoa(masters)+"}", 1)
	if masters != 3 && with == text {
		t.Fatal("the example's cluster.yaml does not say master: {count: 3}")
	}
	return with
}

// clusterHere makes the bundle's path right for a cluster.yaml in dir.
func clusterHere(t *testing.T, dir, cluster string) string {
	t.Helper()
	bundle, err := filepath.Rel(dir, example())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(cluster, "bundle: .", "bundle: "+bundle, 1)
}

func copyPrograms(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"coordinator", "bootstrap-agent-linux-amd64", "bootstrap-agent-linux-arm64"} {
		data, err := os.ReadFile(program(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// result is how a program ended, and what it said.
type result struct {
	code     int
	out, err string
}

func (r result) all() string { return r.out + r.err }

// run calls the operator's command line. The directory is the working one, because the path of a Unix socket is short.
func (c *coordinator) run(args ...string) result {
	c.t.Helper()
	defer slow(c.t, "coordinator", args, time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./coordinator", args...)
	cmd.Dir, cmd.WaitDelay = c.dir, 5*time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	exit := new(exec.ExitError)
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("coordinator %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want runs a command that is to end with the code.
func (c *coordinator) want(code int, args ...string) result {
	c.t.Helper()
	r := c.run(args...)
	if r.code != code {
		c.t.Fatalf("coordinator %s ended with %d, want %d:\n%s", strings.Join(args, " "), r.code, code, r.all())
	}
	return r
}

func (c *coordinator) must(args ...string) string {
	c.t.Helper()
	return c.want(0, args...).out
}

// ssh are the flags of push and deploy for the lab's hosts.
func (c *coordinator) ssh(command string, args ...string) []string {
	c.t.Helper()
	return append([]string{command, "-i", c.lab.do("key"), "--known-hosts", c.lab.do("known-hosts")}, args...)
}

// push drops the bootstrap agent on hosts that all can be reached.
func (c *coordinator) push(role string, hosts ...int) {
	c.t.Helper()
	c.must(c.ssh("push", append([]string{"--role", role}, addresses(hosts...)...)...)...)
}

// wait is over when n hosts have joined and all are done.
func (c *coordinator) wait(n int) {
	c.t.Helper()
	c.must("wait", "--hosts", strconv.Itoa(n), "--timeout", "3m")
}

func (c *coordinator) userData(role string) string {
	c.t.Helper()
	return c.must("user-data", "--role", role)
}

// start serves until the test ends, and returns when the operator's commands are answered.
func (c *coordinator) start() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, "coordinator.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	first := c.serve == nil
	c.serve = exec.Command("./coordinator", "serve")
	c.serve.Dir, c.serve.Stdout, c.serve.Stderr = c.dir, log, log
	if err := c.serve.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	c.ended = ended
	go func(serve *exec.Cmd) { ended <- serve.Wait() }(c.serve)
	if first {
		c.t.Cleanup(func() {
			if c.t.Failed() {
				c.dump()
			}
			c.kill()
		})
	}
	eventually(c.t, time.Minute, "the coordinator answers", func() error {
		select {
		case err := <-ended:
			ended <- err
			c.t.Fatalf("coordinator serve ended: %v\n%s", err, readFile(c.t, filepath.Join(c.dir, "coordinator.log")))
		default:
		}
		if r := c.run("status", "-o", "json"); r.code != 0 {
			return errors.New(r.all())
		}
		return nil
	})
}

// kill is kill -9.
func (c *coordinator) kill() {
	_ = c.serve.Process.Kill()
	err := <-c.ended
	c.ended <- err
}

// blob is where the coordinator keeps the one with the digest.
func (c *coordinator) blob(digest string) string {
	return filepath.Join(c.dir, "state/artifacts/blobs", digest[:2], digest)
}

// dump shows what a person would look at after a failure.
func (c *coordinator) dump() {
	c.t.Logf("cluster.yaml, state and log are gone with %s; what they said:", c.dir)
	for _, command := range [][]string{{"status", "--all"}, {"events", "-n", "40"}} {
		r := c.run(command...)
		c.t.Logf("coordinator %s:\n%s", strings.Join(command, " "), r.all())
	}
	c.t.Logf("the coordinator's log, its end:\n%s", tail(filepath.Join(c.dir, "coordinator.log"), 8<<10))
	for line := range strings.Lines(c.lab.do("list", "--no-header")) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		host, err := strconv.Atoi(fields[0])
		if err != nil || !slices.Contains([]string{"up", "partitioned"}, fields[3]) {
			continue
		}
		out, _ := c.lab.sh(host, "journalctl --no-pager -n 60 -u bootstrap-agent 2>/dev/null; journalctl --no-pager -n 5 -o cat -u 'demo*' 2>/dev/null; tail -n 40 /var/lib/bootstrap-agent/log 2>/dev/null; ls -la /var/lib/bootstrap-agent 2>&1")
		c.t.Logf("host%d (%s):\n%s", host, fields[4], out)
	}
}

func tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
