//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// Pushing again is what people do when they are not sure. To a host that is joining it changes nothing, to one that is
// done it is refused before anything is touched.
func TestPushingTwiceIsSafe(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(2)
	c.push("agent", 2)
	first := c.until(2, time.Minute, "waits for the roster", func(h host) bool { return h.Phase == "ready" && strings.Contains(h.Waiting, "master") })

	c.push("agent", 2)
	second := c.until(2, time.Minute, "waits for the roster again", func(h host) bool {
		return h.Phase == "ready" && h.LastSeen.After(first.LastSeen) && strings.Contains(h.Waiting, "master")
	})
	if second.ID != first.ID || second.Role != first.Role || !second.Enrolled.Equal(*first.Enrolled) {
		t.Errorf("pushed again while it was joining, the host became another: %+v, then %+v", first, second)
	}
	c.push("master", 1)
	c.wait(2)
	if s := c.status(); len(s.Hosts) != 2 {
		t.Errorf("the status shows %d rows for two hosts: %v", len(s.Hosts), s.Hosts)
	}
	l.wantNoAgent(2)

	before := l.snapshot(2)
	r := c.want(3, c.ssh("push", "--role", "agent", address(2))...)
	if !strings.Contains(r.all(), "already installed") || !strings.Contains(r.all(), "remedy: ") || !strings.Contains(r.all(), "uninstall") {
		t.Errorf("a push to a host that is done says:\n%s", r.all())
	}
	l.wantNoAgent(2)
	wantNoChange(t, "host2, which was done when it was pushed to again", before.changes(l.snapshot(2), append(systemdsOwn, `/var/lib/demo`)...))
	if h, ok := c.status().at(2); !ok || h.Phase != "done" || h.ID != first.ID {
		t.Errorf("after it was pushed to again, the host that was done is shown as %+v", h)
	}
	l.mustSh(2, "/opt/demo/current/bin/etcdctl put alive yes")
}

// deploy waits for the hosts it pushed to, also if they had joined before.
func TestDeployToAHostThatIsJoiningWaitsForIt(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(2)
	c.push("agent", 2)
	c.untilPhase(2, "ready")
	c.want(0, c.ssh("deploy", "--timeout", "2m", "master="+address(1), "agent="+address(2))...)
	if s := c.status(); len(s.Hosts) != 2 || s.Cluster.Phases["done"] != 2 {
		t.Errorf("deploy ended with %v", s.Hosts)
	}
}
