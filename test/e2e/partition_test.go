//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// A host loses the network in the middle of its installation and gets it back.
func TestAHostThatIsCutOffGoesOnAfterwards(t *testing.T) {
	const outage = 20 * time.Second
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(2)
	c.push("agent", 2)
	c.untilPhase(2, "ready")
	l.throttle(2, "12mbit")
	c.push("master", 1)
	c.until(2, time.Minute, "fetches", func(h host) bool { return h.Phase == "fetching" && h.DoneBytes > h.TotalBytes/4 })
	l.fault("partition", 2)
	over := time.Now().Add(outage)
	stood := c.untilPhase(1, "done")

	// However long it lasts, the status says since when nothing was heard.
	silent := c.until(2, outage+time.Minute, "has been cut off long enough", func(host) bool { return time.Now().After(over) })
	if silent.Phase != "fetching" || silent.DoneBytes >= silent.TotalBytes || time.Since(silent.LastSeen) < outage-5*time.Second {
		t.Errorf("after %v of silence the status says of host2: %v, last seen %v ago (host1: %v)", outage, silent, time.Since(silent.LastSeen), stood)
	}
	l.fault("heal", 2)
	l.unthrottle(2)
	c.wait(2)
	l.mustSh(2, "/opt/demo/current/bin/etcdctl put alive yes")
	l.wantNoAgent(2)
	if h, _ := c.status().at(2); h.Attempt != 1 {
		t.Errorf("it took %d attempts, and nobody asked for a retry", h.Attempt)
	}
}
