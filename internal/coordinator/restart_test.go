package coordinator_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"muster/internal/coordinator"
	"muster/internal/hosts"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestNothingIsLostWhenTheCoordinatorIsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var joined []*host
	for n := range 4 {
		joined = append(joined, s.join("master", n))
	}
	agent := s.join("agent", 10)
	agent.says(hosts.Preflight)
	agent.sync(&syncv1.SyncRequest{Observed: agent.observed(hosts.Failed), Reports: []*syncv1.Report{report(1, 1, false)}})
	if _, err := s.core.Retry(context.Background(), operator, "node-10"); err != nil {
		t.Fatal(err)
	}
	agent.attempt = 2
	agent.says(hosts.Preflight, hosts.Ready)
	unused := s.token("agent", 5)
	s.push(coordinator.Push{Target: "web-1", Role: "agent", Class: "refused", Message: "connection refused", Remedy: "start sshd"})
	if err := s.core.Remove(context.Background(), operator, "node-1"); err != nil {
		t.Fatal(err)
	}
	joined[3].asks() // the spare takes the place
	for _, h := range append(joined, agent) {
		if h != joined[1] {
			h.asks() // so that all are seen at the same moment, before and after
		}
	}

	state, rows := s.state(), shown(s)
	directives := make(map[hosts.ID]string)
	for _, h := range []*host{joined[0], joined[2], joined[3], agent} {
		directives[h.Host] = h.asks().Id
	}
	s.restart()
	s.wantState(state)
	for _, h := range []*host{joined[0], joined[2], joined[3], agent} {
		// The answer depends on the state alone, so that no host is disturbed.
		if got := h.asks().Id; got != directives[h.Host] {
			t.Errorf("%s has another directive", h.Host)
		}
	}
	if got := shown(s); !slices.Equal(got, rows) {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(rows, "\n"), strings.Join(got, "\n"))
	}
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-3", "node-2"}) {
		t.Errorf("%v", got)
	}
	if _, err := s.core.Host(context.Background(), shows(joined[1].leaf())); err == nil {
		t.Error("the removed host is let in again")
	}
	if s.uses(unused) != 0 || s.describe("node-10").Attempt != 2 || s.describe("web-1").Failure != "connection refused" {
		t.Error("tokens, attempts or pushes are lost")
	}
	a := numbered(20)
	a.token = unused
	if _, err := s.apply(a); err != nil {
		t.Error(err)
	}
}

// shown is the list without what is kept in memory alone.
func shown(s *site) []string {
	s.Helper()
	rows, _ := s.list(0)
	var text []string
	for _, h := range rows {
		h = proto.Clone(h).(*operatorv1.Host)
		h.LastSeen = nil
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(h)
		if err != nil {
			s.Fatal(err)
		}
		text = append(text, string(raw))
	}
	return text
}

func TestACountThatShrinksBelowItsMembersIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 3 {
		s.join("master", n)
	}
	before := s.state()
	s.generation.Roles[0].Count = 2
	if _, err := s.serve(); err == nil || !strings.Contains(err.Error(), "node-2 has place 2, and only 2 are wanted") {
		t.Errorf("%v", err)
	}
	s.wantState(before)
}

func TestACountThatGrowsTakesTheSpares(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 3 {
		s.join("master", n)
	}
	spare := s.join("master", 3)
	s.clock.advance(time.Minute)
	s.generation.Roles[0].Count = 5
	s.restart()
	if d := spare.asks(); d.GetPreflight() == nil {
		t.Errorf("the spare is told %v", d)
	}
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-1", "node-2", "node-3", ""}) {
		t.Errorf("%v", got)
	}
}
