//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The bootstrap agent is killed again and again while it works. It goes on each time, and the host gets done.
func TestABootstrapAgentThatIsKilledAgainAndAgainGetsDone(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(2)
	l.throttle(2, "20mbit")
	c.push("agent", 2)
	c.push("master", 1)
	killed := 0
	eventually(t, 3*time.Minute, "host2 is done", func() error {
		if h, _ := c.status().at(2); ended(h) {
			return nil
		}
		// systemd starts it again after a second: some kills hit while it begins, others far into a step.
		time.Sleep(time.Duration(700+rand.IntN(1800)) * time.Millisecond)
		if _, err := l.sh(2, "systemctl kill --signal=KILL bootstrap-agent"); err == nil {
			killed++
		}
		return fmt.Errorf("killed %d times", killed)
	})
	c.wait(2)
	if killed < 3 {
		t.Errorf("the bootstrap agent was killed %d times, which proves little", killed)
	}
	l.mustSh(2, "/opt/demo/current/bin/etcdctl put alive yes")
	settle(t, l, 2)
	h, _ := c.status().at(2)
	if h.Attempt != 1 || h.Failure != "" {
		t.Errorf("it was not done in one attempt: %+v", h)
	}
}

// While it removes itself, the bootstrap agent is killed on several hosts, on each a little later. No trace may stay.
func TestABootstrapAgentThatIsKilledWhileItLeavesLeavesAllTheSame(t *testing.T) {
	// Removing itself takes a bootstrap agent some 200 ms, most of it until everything is on the disk.
	delays := []time.Duration{0, 3, 10, 25, 60, 120}
	hosts := len(delays) + 1
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(hosts)
	var all []int
	before := make([]tree, hosts+1)
	for host := 1; host <= hosts; host++ {
		before[host] = l.snapshot(host)
		all = append(all, host)
	}
	c.push("master", 1)
	var watchers sync.WaitGroup
	hits := make([]string, hosts+1)
	stop := make(chan struct{})
	for _, host := range all[1:] {
		root := l.root(host)
		watchers.Go(func() { hits[host] = killWhileLeaving(root, delays[host-2]*time.Millisecond, stop) })
	}
	c.push("agent", all[1:]...)
	c.wait(hosts)
	settle(t, l, all...)
	close(stop)
	watchers.Wait()

	caught := 0
	for _, host := range all[1:] {
		t.Logf("host%d: %s", host, hits[host])
		if strings.HasPrefix(hits[host], "killed") {
			caught++
		}
		if found := l.tokens(host); len(found) > 0 {
			t.Errorf("host%d has a join token in %v", host, found)
		}
		wantNoChange(t, fmt.Sprintf("host%d", host), before[host].changes(l.snapshot(host), append(installed, systemdsOwn...)...))
	}
	if caught < hosts/2 {
		t.Errorf("only %d of %d bootstrap agents were killed while they left", caught, hosts-1)
	}
}

// killWhileLeaving waits until the seed is gone, the first thing that a bootstrap agent removes when it leaves, lets it
// go on for the delay and kills it. It says what was still there then.
func killWhileLeaving(root string, delay time.Duration, stop <-chan struct{}) string {
	state := filepath.Join(root, "var/lib/bootstrap-agent")
	seed := filepath.Join(state, "seed")
	pid := 0
	for {
		select {
		case <-stop:
			return "never seen"
		default:
		}
		_, err := os.Lstat(seed)
		if err == nil && pid == 0 {
			pid = agentBelow(root)
		}
		if pid == 0 || err == nil {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		time.Sleep(delay)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return "had left " + delay.String() + " after it began"
		}
		entries, _ := os.ReadDir(state)
		_, unit := os.Lstat(filepath.Join(root, "etc/systemd/system/bootstrap-agent.service"))
		return fmt.Sprintf("killed %v after it began to leave, with %d files and its unit (%v) left", delay, len(entries), unit == nil)
	}
}

// agentBelow is the process that runs the bootstrap agent of the host with this root, as this machine counts processes.
func agentBelow(root string) int {
	want, err := os.Stat(filepath.Join(root, "var/lib/bootstrap-agent/bootstrap-agent"))
	if err != nil {
		return 0
	}
	programs, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range programs {
		if is, err := os.Stat(exe); err == nil && os.SameFile(is, want) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
			return pid
		}
	}
	return 0
}

// settle waits until nothing is left of the bootstrap agent. What a killed one left is cleared at the next start of its
// unit, at the latest when the host boots.
func settle(t *testing.T, l *lab, hosts ...int) {
	t.Helper()
	var dirty []string
	look := func() (err error) {
		dirty = nil
		for _, host := range hosts {
			left, failed := l.agentLeft(host)
			if failed != nil || left != "" {
				dirty = append(dirty, strconv.Itoa(host))
				err = fmt.Errorf("host%d: %s (error %v)", host, left, failed)
			}
		}
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); look() != nil; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Logf("before a reboot: %v", look())
			l.do("reboot", strings.Join(dirty, ","))
			eventually(t, time.Minute, "nothing is left of the bootstrap agent", look)
			return
		}
	}
}
