//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// Hosts may come in any order, and more masters than there are places.
func TestAgentsThatComeFirstWaitForTheRosterAndASurplusMasterIsASpare(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 3))
	l.up(5, "--no-wait")
	l.bootWith(6, c.userData("agent"))
	l.bootWith(7, c.userData("public-agent"))
	l.up(5)
	waits := func(h host) bool { return h.Phase == "ready" && strings.Contains(h.Waiting, "role master") }
	c.until(6, 2*time.Minute, "waits for the masters", waits)
	c.until(7, 2*time.Minute, "waits for the masters", waits)
	if text := c.must("status"); !strings.Contains(text, "3 more of 3 hosts of role master") {
		t.Errorf("status does not say what the agents wait for:\n%s", text)
	}

	c.push("master", 1, 2)
	c.until(6, time.Minute, "waits for one master", func(h host) bool { return strings.Contains(h.Waiting, "1 more of 3 hosts of role master") })
	// Two come for the one place that is left: one gets it, whichever.
	c.push("master", 3, 4)
	var spare, member int
	eventually(t, 3*time.Minute, "three masters and the agents are done and the fourth is a spare", func() error {
		s := c.status()
		spare, member = 0, 0
		for number := 1; number <= 7; number++ {
			switch h, _ := s.at(number); {
			case h.Phase == "enrolled" && strings.Contains(h.Waiting, "spare"):
				spare = number
			case h.Phase == "done" && h.Role == "master":
				member = number
			case number != 5 && h.Phase != "done":
				return errorOf(h)
			}
		}
		if spare == 0 {
			return errorOf(host{Name: "no spare"})
		}
		return nil
	})
	text := c.must("status")
	if !strings.Contains(text, "spare: role master has all its members") {
		t.Errorf("status does not say why host%d waits:\n%s", spare, text)
	}
	if got := l.mustSh(member, "/opt/demo/current/bin/etcdctl member list | grep -c started"); got != "3" {
		t.Errorf("etcd has %s members, want 3", got)
	}
	if changed, err := l.sh(spare, "ls /opt/demo"); err == nil {
		t.Errorf("something is installed on the spare: %s", changed)
	}
}

type errorOf host

func (h errorOf) Error() string { return host(h).String() }
