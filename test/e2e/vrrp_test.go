//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// endpoint is the one that the example's cluster-endpoint.yaml names.
const endpoint = "10.77.0.250"

// Agents know nothing of the masters but an address, which keepalived holds on one of two. It moves when that master is
// lost, and again when what runs on the other is not healthy; agents go on, and hosts that join meanwhile are done.
func TestAgentsGoOnWhenTheEndpointMovesToAnotherMaster(t *testing.T) {
	l, c := newDatacenter(t, "cluster-endpoint.yaml", "master: {count: 1}", "master: {count: 3}")
	l.up(6)
	l.keepalived(1)
	l.keepalived(2)
	for host := 4; host <= 6; host++ {
		for _, master := range addresses(1, 2, 3) {
			l.mustSh(host, "ip route add blackhole "+master+"/32")
		}
	}
	c.want(0, c.ssh("deploy", "--timeout", "3m",
		"master="+strings.Join(addresses(1, 2, 3), ","), "agent="+strings.Join(addresses(4, 5), ","), "public-agent="+address(6))...)
	wantAllChecksOK(t, c, 6)
	first, second := 1, 2
	if l.holds(2) {
		first, second = 2, 1
	}
	l.wantEndpoint(first, second)
	third := "http://" + address(3) + ":2379"
	wantMessage(t, l, 4, 5)
	wantForwarded(t, third)
	runs := make(map[int]string)
	for host := 4; host <= 6; host++ {
		l.wantNoAgent(host)
		runs[host] = l.runs(host)
	}

	// While the address moves, one host is in the middle of joining and another only boots.
	late := c.userData("agent")
	l.bootWith(7, c.userData("agent"))
	l.throttle(7, "40mbit")
	c.until(7, time.Minute, "fetches", func(h host) bool { return h.Phase == "fetching" && h.DoneBytes > 0 })
	lost := time.Now()
	l.fault("kill", first)
	l.bootWith(8, late)
	l.unthrottle(7)
	l.wantEndpoint(second, first)
	moved := time.Since(lost)
	meanwhile := c.status().Cluster.Phases
	wantMessage(t, l, 4, 5)
	wantForwarded(t, third)
	t.Logf("host%d was lost: host%d had the endpoint after %.1f s, agents worked through it after %.1f s; when it came the phases were %v",
		first, second, moved.Seconds(), time.Since(lost).Seconds(), meanwhile)
	c.wait(8)
	wantMessage(t, l, 7, 8)

	// The lost master comes back, and leaves the address where it is.
	l.fault("restart", first)
	wantStore(t)
	eventually(t, time.Minute, fmt.Sprintf("keepalived on host%d stands by", first), func() error {
		if states := l.states(first); !strings.HasSuffix(states, "BACKUP") {
			return errors.New(states)
		}
		return nil
	})
	wantMessage(t, l, 4, 7)
	wantAllChecksOK(t, c, 8)
	l.wantEndpoint(second, first)
	if states := l.states(first); strings.Contains(states, "MASTER") {
		t.Errorf("host%d came back and took the endpoint: %s", first, states)
	}

	// It is as good as before: the endpoint moves to it when the store on the other ends.
	ended := time.Now()
	l.mustSh(second, "systemctl stop demo-etcd")
	l.wantEndpoint(first, second)
	moved = time.Since(ended)
	wantMessage(t, l, 4, 5)
	wantForwarded(t, third)
	t.Logf("the store of host%d ended: host%d had the endpoint after %.1f s, agents worked through it after %.1f s",
		second, first, moved.Seconds(), time.Since(ended).Seconds())
	l.mustSh(second, "systemctl start demo-etcd")
	wantStore(t)

	for host, was := range runs {
		if is := l.runs(host); is != was {
			t.Errorf("the services of host%d were touched; they were\n%s\nand are\n%s", host, was, is)
		}
	}
	for _, host := range []int{4, 5, 6, 7, 8} {
		for _, master := range addresses(1, 2, 3) {
			if found, err := l.sh(host, "grep -rlwF "+master+" /opt/demo/generations /etc/systemd/system"); err == nil {
				t.Errorf("host%d knows the address %s from %s", host, master, found)
			}
		}
	}
}

// keepalived starts with the configuration that the documentation gives to operators.
func (l *lab) keepalived(host int) {
	l.t.Helper()
	_, section, _ := strings.Cut(readFile(l.t, filepath.Join(repository(), "docs/joining.md")), "\n### An endpoint without a load balancer\n")
	_, section, _ = strings.Cut(section, "\n```\n")
	config, _, found := strings.Cut(section, "\n```\n")
	if !found || !strings.Contains(config, endpoint) {
		l.t.Fatalf("docs/joining.md has no configuration of keepalived for %s, but %q", endpoint, config)
	}
	if _, err := l.run([]byte(config+"\n"), "exec", strconv.Itoa(host), "--", "sh", "-c", "cat >/etc/keepalived/keepalived.conf"); err != nil {
		l.t.Fatal(err)
	}
	// Not from a shell: it ends who calls it.
	l.do("exec", strconv.Itoa(host), "--", "keepalived", "--config-test", "--log-console")
	l.mustSh(host, "systemctl --quiet enable --now keepalived")
}

// states are all that keepalived was in since the host booted, the present one last.
func (l *lab) states(host int) string {
	l.t.Helper()
	return l.mustSh(host, "journalctl -o cat --no-pager -u keepalived | sed -n 's/.*(endpoint) Entering \\([A-Z]*\\) STATE.*/\\1/p' | paste -sd ' '")
}

// holds says whether a host has the endpoint; one that is down has it not.
func (l *lab) holds(host int) bool {
	out, err := l.sh(host, "ip -o -4 address show to "+endpoint)
	return err == nil && out != ""
}

// wantEndpoint waits until the endpoint is at the one and not at the other.
func (l *lab) wantEndpoint(at, notAt int) {
	l.t.Helper()
	eventually(l.t, 15*time.Second, fmt.Sprintf("the endpoint is at host%d", at), func() error {
		if is, other := l.holds(at), l.holds(notAt); !is || other {
			return fmt.Errorf("at host%d: %v; at host%d: %v", at, is, notAt, other)
		}
		return nil
	})
}

// runs tells what is installed on a host and which runs of its services these are: after a restart they are others.
func (l *lab) runs(host int) string {
	l.t.Helper()
	return l.mustSh(host, "readlink /opt/demo/current; systemctl show -p Id,ActiveState,InvocationID,MainPID,NRestarts 'demo-*.service'")
}

// wantStore waits until all three masters are healthy, each asked at its own address.
func wantStore(t *testing.T) {
	t.Helper()
	masters := "http://" + strings.Join(addresses(1, 2, 3), ":2379,http://") + ":2379"
	eventually(t, time.Minute, "the store is healthy on all masters", func() error {
		out, err := etcd(masters, "endpoint", "health")
		if err == nil && strings.Count(out, "is healthy") != 3 {
			err = errors.New(out)
		}
		return err
	})
}
