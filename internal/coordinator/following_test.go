package coordinator_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// replace gives the place of a member to a spare that joins now, which is not installed yet.
func (s *site) replace(member string, n int) *host {
	s.Helper()
	spare := s.join("master", n)
	if _, err := s.core.Replace(context.Background(), operator, member, ""); err != nil {
		s.Fatal(err)
	}
	return spare
}

func TestMembersFollowANewRosterOneAfterTheOtherAndAfterTheNewMemberIsDone(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	spare := s.replace("node-1", 3)

	wantWait(t, masters[0].asks(), "its late values have changed; waiting for node-3 of role master")
	wantWait(t, masters[2].asks(), "waiting for node-3 of role master")
	if got := s.describe("node-0"); got.Phase != syncv1.Phase_PHASE_DONE || got.Attempt != 1 {
		t.Errorf("%+v", got)
	}
	// Who waits is rung when it is its turn, and does not have to ask.
	answer := masters[0].waits(masters[0].asks().Id, time.Minute)
	spare.install()
	d := soon(t, answer).Directive
	if d.GetInstall().GetLate()["Roster.master[1].Address"] != "10.0.0.4" || d.Attempt != 2 {
		t.Fatalf("it is told %v", d)
	}
	wantWait(t, masters[2].asks(), "waiting for node-0 of role master")
	// What it still says of the first attempt is history.
	if d := masters[0].says(hosts.Done); d.GetInstall() == nil {
		t.Errorf("a host that has not begun is told %v", d)
	}
	masters[0].install()
	if d := masters[2].asks(); d.GetInstall() == nil {
		t.Errorf("the last one is told %v", d)
	}
	wantWait(t, masters[2].install(), "")
	for _, m := range []*host{masters[0], masters[2], spare} {
		wantWait(t, m.asks(), "")
	}
	if got := len(s.events("following")); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func TestAMemberThatNobodyHearsOfHoldsItsPeersBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	spare := s.replace("node-1", 3)
	spare.install()
	s.clock.advance(2 * time.Minute)
	spare.asks()
	wantWait(t, masters[0].asks(), "waiting for node-2 of role master")
	if d := masters[2].asks(); d.GetInstall() == nil {
		t.Errorf("it hears of all others, and is told %v", d)
	}
}

func TestAFailedMemberHoldsItsPeersBackUntilItIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	s.replace("node-1", 3).install()
	d := masters[0].asks()
	masters[0].attempt = d.Attempt
	masters[0].sync(&syncv1.SyncRequest{Observed: masters[0].observed(hosts.Failed), Reports: []*syncv1.Report{report(1, d.Attempt, false)}})
	wantWait(t, masters[2].asks(), "waiting for node-0 of role master")
	if _, err := s.core.Retry(context.Background(), operator, "node-0"); err != nil {
		t.Fatal(err)
	}
	masters[0].attempt++
	if d := masters[0].says(hosts.Assigned); d.GetInstall() == nil || d.Attempt != 3 {
		t.Errorf("tried again it is told %v: what runs there would be stopped by anything else", d)
	}
	masters[0].install()
	if d := masters[2].asks(); d.GetInstall() == nil {
		t.Errorf("it is told %v", d)
	}
}

func TestAgentsFollowAfterTheMastersAreDoneAndAFewAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	var agents []*host
	for n := range 40 {
		agents = append(agents, s.join("agent", 50+n))
		agents[n].install()
	}
	spare := s.replace("node-1", 3)
	for _, a := range agents {
		wantWait(t, a.asks(), "waiting for node-3 of role master")
	}
	spare.install()

	// All ask at the same moment.
	install := func() (turn []*host) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for _, a := range agents {
			all.Go(func() {
				if a.asks().GetInstall() != nil {
					mu.Lock()
					turn = append(turn, a)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		return turn
	}
	first := install()
	if len(first) != 4 {
		t.Fatalf("%d of 40 follow at a time, want 4", len(first))
	}
	var waiting *host
	for _, a := range agents {
		if !slices.Contains(first, a) {
			waiting = a
			break
		}
	}
	wantWait(t, waiting.asks(), "its turn comes, 4 at a time of role agent")
	// One that fails counts, however long ago that was.
	first[0].attempt++
	first[0].sync(&syncv1.SyncRequest{Observed: first[0].observed(hosts.Failed)})
	s.clock.advance(6 * time.Minute)
	for _, a := range first[1:] {
		a.asks()
	}
	if again := install(); len(again) != 3 {
		t.Errorf("%d follow now, want the 3 that had begun", len(again))
	}
	for _, a := range first[1:] {
		a.install()
	}
	if again := install(); len(again) != 3 {
		t.Errorf("%d follow beside the one that failed, want 3", len(again))
	}
}

func TestAStragglerOfAnOpenRoleHoldsNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	first, second := s.join("agent", 50), s.join("agent", 51)
	first.install()
	second.install()
	s.replace("node-1", 3).install()
	if d := first.asks(); d.GetInstall() == nil {
		t.Fatalf("it is told %v", d)
	}
	wantWait(t, second.asks(), "its turn comes, 1 at a time")
	s.clock.advance(6 * time.Minute)
	if d := second.asks(); d.GetInstall() == nil {
		t.Errorf("with the other gone it is told %v", d)
	}
}

func TestNobodyFollowsUntilTheRosterIsWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	agent := s.join("agent", 50)
	agent.install()
	if err := s.core.Remove(context.Background(), operator, "node-1"); err != nil {
		t.Fatal(err)
	}
	wantWait(t, agent.asks(), "keeps its late values; waiting for 1 more of 3 hosts of role master")
	s.join("master", 3).install()
	if d := agent.asks(); d.GetInstall().GetLate()["Roster.master[1].Address"] != "10.0.0.4" {
		t.Errorf("it is told %v", d)
	}
}

func TestAHostFollowsNoOtherConfigByItself(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	s.generation.ConfigID = manifest.ConfigID(strings.Repeat("e", 64))
	s.restart()
	masters[0].core = s.core
	wantWait(t, masters[0].asks(), "keeps config cccccccccccc and follows nothing while config eeeeeeeeeeee is served")
}

func TestBootstrapAgentsThatStayedLeaveWhenTheConfigSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	s.generation.Resident, s.generation.Roles[0].TakeOver = false, 0
	s.restart()
	masters[1].core = s.core
	if d := masters[1].asks(); d.GetLeave() == nil {
		t.Fatalf("it is told %v", d)
	}
	// Wanted back, nobody mistakes the silence of the one that has left.
	s.generation.Resident, s.generation.Roles[0].TakeOver = true, manifest.Span(10*time.Minute)
	s.restart()
	for _, h := range masters {
		h.core = s.core
	}
	spare := s.join("master", 3)
	s.pass(time.Hour, masters[0], masters[2], spare)
	wantWait(t, spare.asks(), "spare")
}
