//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A master loses power while it fetches. It comes back with what it had, and the cluster gets complete.
func TestAMasterThatCrashesWhileItFetchesGoesOnWhereItWas(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 3))
	l.up(3)
	c.push("master", 1, 2)
	c.untilPhase(1, "ready")
	l.throttle(1, "12mbit")
	c.push("master", 3)
	half := func(h host) bool { return h.Phase == "fetching" && h.Step == "fetch" && h.DoneBytes > h.TotalBytes/3 }
	at := c.until(1, 2*time.Minute, "has fetched a third", half)

	l.fault("kill", 1)
	if h, _ := c.status().at(1); h.Phase != "fetching" {
		t.Fatalf("host1 was %v when it was killed; it should have been fetching", h)
	}
	kept := partial(t, l.root(1))
	if kept < at.TotalBytes/4 {
		t.Fatalf("the crashed host has %d bytes of %d on its disk, after it said %d", kept, at.TotalBytes, at.DoneBytes)
	}
	l.fault("restart", 1)
	c.until(1, 2*time.Minute, "is beyond fetching", func(h host) bool { return h.Phase != "fetching" })
	// The link is new since the boot. What etcd and the coordinator say meanwhile is little.
	if got, most := l.received(1), at.TotalBytes-kept+2<<20; got > most {
		t.Errorf("after the crash %d bytes went to host1, although %d of %d were there: it began anew", got, kept, at.TotalBytes)
	}
	c.wait(3)
	wantEtcd(t, l, 1, 2, 3)
	l.wantNoAgent(1)
}

// partial is how much an interrupted fetch has left on the disk.
func partial(t *testing.T, root string) int64 {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(root, "var/lib/bootstrap-agent/blobs/*"))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, p := range parts {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// The coordinator is killed with hosts in several phases. They go on without it, and it knows everything when it is back.
func TestACoordinatorThatIsKilledForgetsNothing(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(4)
	c.push("agent", 2, 3)
	c.untilPhase(2, "ready")
	c.untilPhase(3, "ready")
	l.throttle(2, "12mbit")
	l.fault("freeze", 3)
	c.push("master", 1)
	c.until(2, time.Minute, "fetches", func(h host) bool { return h.Phase == "fetching" && h.DoneBytes > 0 })
	before, events := c.status(), c.events()
	phases := make(map[string]bool)
	pages := make(map[int]hostPage)
	for number := 1; number <= 3; number++ {
		h, _ := before.at(number)
		phases[h.Phase] = true
		pages[number] = c.page(number)
	}
	if len(phases) < 2 {
		t.Fatalf("all hosts were in the same phase: %v", before.Hosts)
	}

	c.kill()
	if r := c.want(1, "status"); r.err == "" {
		t.Error("status says nothing about a coordinator that is not there")
	}
	eventually(t, time.Minute, "the master installs without the coordinator", func() error {
		_, err := l.sh(1, "/opt/demo/current/bin/etcdctl endpoint health")
		return err
	})
	l.fault("thaw", 3)
	c.start()
	after := c.status()
	for number := 1; number <= 3; number++ {
		was, _ := before.at(number)
		is, ok := after.at(number)
		if !ok || is.ID != was.ID || is.Role != was.Role || is.Index != was.Index || is.JoinedBy != was.JoinedBy || !is.Enrolled.Equal(*was.Enrolled) {
			t.Errorf("before the crash there was %+v, after it %+v", was, is)
		}
	}
	c.push("agent", 4)
	c.wait(4)
	for number, was := range pages {
		wantReportsKept(t, number, was, c.page(number))
	}
	now := c.events()
	for i, e := range events {
		if i >= len(now) || now[i] != e {
			t.Fatalf("event %d was %+v before the crash and is gone", i, e)
		}
	}
	for number := 1; number <= 4; number++ {
		l.wantNoAgent(number)
	}
}

func wantReportsKept(t *testing.T, number int, was, is hostPage) {
	t.Helper()
	now := make(map[uint64]string)
	for _, r := range is.Reports {
		if _, twice := now[r.Sequence]; twice {
			t.Errorf("host%d's report %d is there twice", number, r.Sequence)
		}
		now[r.Sequence] = describeReport(r)
	}
	if len(was.Reports) == 0 {
		t.Errorf("host%d had reported nothing before the crash", number)
	}
	for _, r := range was.Reports {
		if now[r.Sequence] != describeReport(r) {
			t.Errorf("host%d's report %d was acknowledged as %s and is now %q", number, r.Sequence, describeReport(r), now[r.Sequence])
		}
	}
}

func describeReport(r report) string {
	switch {
	case r.Step != nil:
		return fmt.Sprintf("step %+v", *r.Step)
	case r.Check != nil:
		return fmt.Sprintf("check %+v", *r.Check)
	}
	return "nothing"
}
