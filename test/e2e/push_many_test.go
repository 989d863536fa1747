//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// brokenWay is one of the ways in which a host is broken.
type brokenWay struct {
	name, class string
	within      string // breaks the host from inside, as root
}

// slowHead takes the place of head, which reads the agent on a host that cannot fetch it: after a part of it, something
// happens.
func slowHead(something string) string {
	return `rm -f /usr/bin/curl /usr/bin/wget /usr/bin/python3*
printf '#!/bin/sh\n[ "$2" -gt 100 ] || exec /usr/bin/head "$@"\n/usr/bin/head -c 1000000 >/dev/null\n` + something + `\n' >/usr/local/bin/head
chmod 755 /usr/local/bin/head`
}

// The ways that are not within the host.
const (
	silent     = "hangs before its banner"
	anotherKey = "another key"
	notKnown   = "not known"
	notThere   = "not there"
)

var brokenWays = []brokenWay{
	{name: silent, class: "timeout"},
	{name: anotherKey, class: "host-key-changed"},
	{name: notKnown, class: "host-key-unknown"},
	{name: "refuses the login", class: "auth", within: "rm /home/admin/.ssh/authorized_keys"},
	{name: "another machine", class: "architecture", within: `printf '#!/bin/sh\nexec /usr/bin/uname "$@" | sed s/"$(/usr/bin/uname -m)"/s390x/\n' >/usr/local/bin/uname; chmod 755 /usr/local/bin/uname`},
	{name: "no room", class: "no-space", within: "for d in /tmp /var/tmp; do mount -t tmpfs -o size=64k,mode=1777 tmpfs $d; done; chmod 755 /dev/shm; chown root /home/admin"},
	{name: "sudo wants a password", class: "sudo-password", within: "echo 'admin ALL=(ALL) ALL' >/etc/sudoers.d/admin"},
	{name: "ends in the middle", class: "upload", within: slowHead("exec pkill -KILL -u admin sshd")},
	{name: "hangs in the middle", class: "timeout", within: slowHead("exec sleep 1000")},
	{name: notThere, class: "unreachable"},
}

// 300 hosts, three each broken in one of ten ways: the others are pushed to, the broken ones are told apart and keep nothing,
// and it ends in time with little memory.
func TestPushTo300HostsOf30AreBroken(t *testing.T) {
	const (
		hosts       = 300
		hostTimeout = 2 * time.Minute
	)
	l, c := newSite(t, exampleCluster(t, 1))
	crowd := newCrowd(t, l)
	// Broken ones are among the good ones, so that they share the places that a push has.
	broken := map[string]brokenWay{}
	for h := 1; h <= hosts; h++ {
		var way brokenWay
		if h%5 == 0 && h <= hosts/2 {
			way = brokenWays[h/5%len(brokenWays)]
			broken[crowd.address(h)] = way
		}
		crowd.start(h, way.within)
	}
	var known strings.Builder
	for h := 1; h <= hosts; h++ {
		crowd.wait(h)
		switch broken[crowd.address(h)].name {
		case silent:
			crowd.freeze(h)
		case notThere:
			crowd.end(h)
		case notKnown:
			continue
		case anotherKey:
			other, _ := newKey(t)
			known.WriteString(crowd.knownLine(h, other))
			continue
		}
		known.WriteString(crowd.knownLine(h, nil))
	}
	knownHosts, config := filepath.Join(crowd.dir, "known_hosts"), filepath.Join(crowd.dir, "config")
	writeFile(t, knownHosts, known.String())
	writeFile(t, config, fmt.Sprintf("Host *\n Port %d\n User admin\n", crowd.port))

	p := c.watched(3*hostTimeout, "push", "--role", "agent", "-o", "json", "-i", crowd.key, "--known-hosts", knownHosts, "--ssh-config", config,
		"--connect-timeout", "30s", "--host-timeout", hostTimeout.String(), "127.1.0.[1-255]", "127.1.1.[0-44]")
	if p.code != 3 {
		t.Fatalf("push ended with %d, want 3:\n%s", p.code, p.all())
	}
	r := decode[pushReport](t, p.out)
	if r.Pushed != hosts-len(broken) || r.Failed != len(broken) || len(r.Hosts) != hosts {
		t.Errorf("%d hosts are pushed to and %d failed of %d, want %d and %d", r.Pushed, r.Failed, len(r.Hosts), hosts-len(broken), len(broken))
	}
	for _, h := range r.Hosts {
		if way := broken[h.Host]; h.Class != way.class {
			t.Errorf("%s (%s): class %q, want %q: %s", h.Host, way.name, h.Class, way.class, h.Message)
		}
		if h.Class != "" && h.Remedy == "" {
			t.Errorf("%s: no remedy", h.Host)
		}
	}
	served := peak(t, c.serve.Process.Pid)
	t.Logf("%d pushed, %d failed in %.1f s; push took %d MB at the most, serve %d MB", r.Pushed, r.Failed, p.took.Seconds(), p.peak, served)
	if p.took > 2*hostTimeout {
		t.Errorf("took %s; a host has %s, and a hundred go at once", p.took, hostTimeout)
	}
	if p.peak < 1 || p.peak > 300 || served < 1 || served > 300 {
		t.Errorf("push took %d MB, serve %d MB", p.peak, served)
	}
	if s := c.must("status", "-o", "json"); strings.Count(s, `"sudo-password"`) != 3 {
		t.Error("status doesn't know of the three hosts that want a password")
	}

	agent := readFile(t, program("bootstrap-agent-linux-"+runtime.GOARCH))
	for h := 1; h <= hosts; h++ {
		way, bad := broken[crowd.address(h)]
		if way.name == notThere {
			continue
		}
		root := crowd.root(h)
		if _, err := os.Stat(filepath.Join(root, "home/admin/.ssh")); err != nil {
			t.Errorf("%s (%s) can't be looked at: %v", crowd.address(h), way.name, err)
			continue
		}
		// What reads the agent and hangs is ended by the script's own clock, half a minute after the host's deadline.
		eventually(t, time.Minute, crowd.address(h)+" keeps nothing: "+way.name, func() error {
			for _, dir := range []string{"tmp", "var/tmp", "home/admin", "dev/shm"} {
				if found, _ := filepath.Glob(filepath.Join(root, dir, "muster-push-*")); len(found) > 0 {
					return fmt.Errorf("it has %v", found)
				}
			}
			return nil
		})
		installed, err := os.ReadFile(filepath.Join(root, "var/lib/bootstrap-agent/bootstrap-agent"))
		switch {
		case bad && err == nil:
			t.Errorf("%s (%s) has the agent", crowd.address(h), way.name)
		case !bad && string(installed) != agent:
			t.Errorf("%s has not the agent (error %v)", crowd.address(h), err)
		case !bad && !strings.Contains(readFile(t, filepath.Join(root, "var/log/systemctl")), "restart --no-block bootstrap-agent.service"):
			t.Errorf("the agent of %s was not started", crowd.address(h))
		}
	}
}

// watchedResult is a result with the time and the most memory that it took.
type watchedResult struct {
	result
	took time.Duration
	peak int64 // MB
}

// watched is run with a limit of its own. What the kernel says of a process that has ended includes what the test itself had
// when it started it, so it is asked meanwhile.
func (c *coordinator) watched(limit time.Duration, args ...string) (w watchedResult) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./coordinator", args...)
	cmd.Dir, cmd.WaitDelay = c.dir, 5*time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			w.result, w.took = result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}, time.Since(began)
			return w
		case <-time.After(100 * time.Millisecond):
			w.peak = max(w.peak, peak(c.t, cmd.Process.Pid))
		}
	}
}

// peak is the most memory in MB that a process has had; 0 of one that has ended.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	return 0
}
