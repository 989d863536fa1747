package coordinator_test

import (
	"context"
	"strings"
	"testing"

	"muster/internal/coordinator"
	"muster/internal/identity"
)

func TestAHostThatIsPushedToAgainTakesTheNewTokenAndStaysWhatItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := numbered(1)
	pushed := func(t *identity.TokenSpec) { t.Host = a.address }
	a.key, a.token = newKey(t), s.token("agent", 1, pushed)
	first, err := s.apply(a)
	if err != nil {
		t.Fatal(err)
	}
	old := a.token
	a.token = s.token("master", 1, pushed)
	s.push(coordinator.Push{Target: a.address, OK: true, Token: a.token[4:16]})
	for range 2 { // an answer may be lost
		again, err := s.apply(a)
		if err != nil || again.Host != first.Host {
			t.Fatalf("got %s (%v), want %s", again.Host, err, first.Host)
		}
	}
	if s.uses(old) != 1 || s.uses(a.token) != 1 {
		t.Errorf("%d uses of the first token and %d of the second, want 1 of each", s.uses(old), s.uses(a.token))
	}
	rows, _ := s.list(0)
	if len(rows) != 1 || rows[0].JoinedBy != a.token[4:16] || rows[0].Role != "agent" {
		t.Errorf("status shows %v, want one agent that joined by the second token", rows)
	}
	if e := s.events("enrolled"); len(e) != 2 || !strings.Contains(e[1].Message, "goes on as agent") {
		t.Errorf("the events are %v", e)
	}
}

func TestAPushToAHostThatHasJoinedIsNoRowOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := numbered(1)
	// By a push to its name: what a host calls itself would not do (TestAHostsNameHidesNoFailedPush).
	a.token = s.token("agent", 1, func(t *identity.TokenSpec) { t.Host = a.name })
	if _, err := s.apply(a); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]coordinator.Push{
		"that went well": {Target: numbered(1).address, OK: true},
		"that failed":    {Target: numbered(1).address, Class: "start", Message: "already installed", Remedy: "uninstall it"},
		"by its name":    {Target: numbered(1).name, Class: "start", Message: "already installed", Remedy: "uninstall it"},
	} {
		s.push(p)
		if rows, _ := s.list(0); len(rows) != 1 {
			t.Errorf("a push %s: %d rows for one host", name, len(rows))
		}
	}
	if e := s.events("push-failed"); len(e) != 2 || !strings.Contains(e[0].Message, "already installed") {
		t.Errorf("the events of two failed pushes are %v", e)
	}
	s.restart()
	if rows, _ := s.list(0); len(rows) != 1 {
		t.Errorf("after a restart there are %d rows for one host", len(rows))
	}
}

// A host may call itself what an operator pushes to. The push that fails is known to status and --retry-failed all the same.
func TestAHostsNameHidesNoFailedPush(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := numbered(7)
	a.name, a.token = "db1", s.token("agent", 1)
	if _, err := s.apply(a); err != nil {
		t.Fatal(err)
	}
	if err := s.core.RecordPush(context.Background(), operator, coordinator.Push{Target: "db1", Role: "agent", Class: "auth", Message: "m", Remedy: "r", Token: "none", Labels: map[string]string{"zone": "a/1"}}); err != nil {
		t.Fatal(err)
	}
	for _, h := range s.core.ListHosts("", 0).Hosts {
		if h.Push == "auth" {
			if h.GetFacts().GetLabels()["zone"] != "a/1" {
				t.Errorf("--retry-failed doesn't know its labels: %v", h)
			}
			return
		}
	}
	t.Error("no push failed, says --retry-failed")
}
