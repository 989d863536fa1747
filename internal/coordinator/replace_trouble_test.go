package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

// R1: the commonest reason to replace a member is that it failed. It says so with every call, and that ends "uninstalling".
func TestAReplacedMemberThatHadFailedUninstalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	s.replace("node-2", 3).install()
	d := masters[0].asks() // follows, and fails at it
	masters[0].attempt = d.Attempt
	masters[0].sync(&syncv1.SyncRequest{Observed: masters[0].observed(hosts.Failed), Reports: []*syncv1.Report{report(1, d.Attempt, false)}})
	s.replace("node-0", 4)
	d = masters[0].says(hosts.Failed) // as its journal says
	if d.GetUninstall() == nil {
		t.Errorf("the member that had failed is told %v", d)
	}
	if h := s.describe(string(masters[0].Host)); h.Phase != syncv1.Phase_PHASE_UNINSTALLING {
		t.Errorf("it is %v with the role %q", h.Phase, h.Role)
	}
	// And with a retry it gets a plan of no role.
	if _, err := s.core.Retry(context.Background(), operator, string(masters[0].Host)); err == nil {
		t.Errorf("a replaced host is retried: %v", masters[0].asks())
	}
}

// R1b: the first installation failed, nothing more common.
func TestAMemberThatFailedToInstallAndWasReplacedUninstalls(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	m := s.join("master", 0)
	s.join("master", 1)
	s.join("master", 2)
	m.says(hosts.Preflight, hosts.Ready)
	m.sync(&syncv1.SyncRequest{Observed: m.observed(hosts.Failed), Reports: []*syncv1.Report{report(1, 1, false)}})
	s.replace("node-0", 3)
	if d := m.says(hosts.Failed); d.GetUninstall() == nil {
		t.Errorf("it is told %v", d)
	}
}

// R2: an honest host whose journal says done is called a liar.
func TestAnHonestHostThatWasReplacedIsNoLiar(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	s.replace("node-1", 3)
	if d := masters[1].says(hosts.Done); d.GetUninstall() == nil {
		t.Errorf("it is told %v", d)
	}
	if e := s.events("impossible-phase"); len(e) > 0 {
		t.Errorf("%+v", e)
	}
}

// R3: the address of a replaced member is another machine's, which the operator can no longer name by it.
func TestAReplacedHostDoesNotTakeAnAddressBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	s.replace("node-1", 3)
	anew := numbered(1)
	anew.token = s.token("agent", 1)
	c, err := s.apply(anew)
	if err != nil {
		t.Fatal(err)
	}
	masters[1].says(hosts.Done) // what the real agent says as it comes back
	if id, err := s.core.Find("10.0.0.2"); err != nil || id != c.Host {
		t.Errorf("10.0.0.2 is %s (%v), want %s; the replaced one is %s", id, err, c.Host, masters[1].Host)
	}
	_, _ = s.core.Sync(context.Background(), masters[1].caller(), &syncv1.SyncRequest{Observed: masters[1].observed(hosts.Removed)})
	if id, err := s.core.Find("10.0.0.2"); err != nil || id != c.Host {
		t.Errorf("after it has gone, 10.0.0.2 is %q (%v), want %s", id, err, c.Host)
	}
}

// R4: whoever shows a member's old certificate has it replaced while it is well.
func TestAQuarantinedMemberIsNotTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	spare := s.join("master", 3)
	old := masters[1].leaf()
	renewed, err := s.core.Renew(context.Background(), masters[1].caller(), request(t, newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	masters[1].Credential = renewed
	if _, err := s.core.Host(context.Background(), shows(masters[1].leaf())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.core.Host(context.Background(), shows(old)); err == nil {
		t.Fatal("the old certificate is taken")
	}
	s.pass(time.Hour, masters[0], masters[2], spare)
	wantWait(t, spare.asks(), "spare")
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-1", "node-2"}) {
		t.Errorf("a member that runs, and that nobody may tell to stop, was replaced: %v", got)
	}
	// The remedy of the quarantine was: coordinator hosts release.
	if _, err := s.core.Release(context.Background(), operator, "node-1"); err != nil {
		t.Errorf("the remedy that the quarantine named: %v", err)
	}
}

// R4b: hosts replace of a quarantined member says that it will uninstall. Nobody tells it.
func TestReplacingAQuarantinedMemberSaysThatNobodyTellsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	old := masters[1].leaf()
	renewed, err := s.core.Renew(context.Background(), masters[1].caller(), request(t, newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	masters[1].Credential = renewed
	if _, err := s.core.Host(context.Background(), shows(masters[1].leaf())); err != nil {
		t.Fatal(err)
	}
	_, _ = s.core.Host(context.Background(), shows(old))
	s.join("master", 3)
	done, err := s.core.Replace(context.Background(), operator, "node-1", "")
	if err != nil || !done.Left {
		t.Errorf("%+v, %v: want Left, for its record is removed and its calls are denied", done, err)
	}
}

// R5: instances that start together each take over from the one before.
func TestSparesThatJoinTogetherDoNotReplaceEachOther(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	s.pass(11*time.Minute, masters[0], masters[2])
	var all sync.WaitGroup
	var applicants []applicant
	for n := range 8 {
		a := numbered(10 + n)
		a.token, a.key = s.token("master", 1), newKey(t)
		applicants = append(applicants, a)
	}
	for _, a := range applicants { // at one moment
		all.Go(func() {
			if _, err := s.apply(a); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if e := s.events("replaced"); len(e) != 1 {
		t.Errorf("%d take-overs of one place: %v", len(e), messages(e))
	}
}

func messages(events []coordinator.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Message)
	}
	return all
}

// R6: what the event says of a silence that began before the coordinator was started.
func TestTheEventOfATakeOverAfterARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	spare := s.join("master", 3)
	s.restart()
	for _, h := range append(masters, spare) {
		h.core = s.core
	}
	s.pass(12*time.Minute, masters[0], masters[2], spare)
	e := s.events("replaced")
	if len(e) != 1 || strings.Contains(e[0].Message, "2562047h") {
		t.Errorf("%v", messages(e))
	}
}

// R7: a hostile host of a resident cluster makes events and disk writes as fast as it can call.
func TestAHostThatSaysAnotherPlanDoesNotFollowForever(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	evil := s.join("agent", 50)
	evil.install()
	for n := range 50 {
		d := evil.asks()
		if d.GetInstall() == nil {
			break
		}
		evil.attempt = d.Attempt
		o := evil.observed(hosts.Done)
		o.PlanId = fmt.Sprintf("cccccccccccc-%d", n)
		evil.sync(&syncv1.SyncRequest{Observed: o})
	}
	evil2 := s.join("agent", 51)
	evil2.attempt = 1
	evil2.says(hosts.Preflight, hosts.Ready)
	cycles := 0
	for n := range 50 {
		o := evil2.observed(hosts.Done)
		o.PlanId = fmt.Sprintf("cccccccccccc-%d", n)
		d := evil2.sync(&syncv1.SyncRequest{Observed: o}).Directive
		if d.GetInstall() == nil {
			break
		}
		evil2.attempt = d.Attempt
		cycles++
	}
	if cycles > 3 {
		t.Errorf("%d cycles, %d events following, %d events done", cycles, len(s.events("following")), len(s.events("done")))
	}
}

// R8: after a restart of the coordinator a second tenth goes away beside the first.
func TestARestartDoesNotLetMoreHostsFollow(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	var agents []*host
	for n := range 40 {
		agents = append(agents, s.join("agent", 50+n))
		agents[n].install()
	}
	s.replace("node-1", 3).install()
	following := func() (n int) {
		for _, a := range agents {
			if s.describe(string(a.Host)).Phase == syncv1.Phase_PHASE_READY {
				n++
			}
		}
		return n
	}
	for _, a := range agents {
		a.asks()
	}
	if n := following(); n != 4 {
		t.Fatalf("%d follow", n)
	}
	s.restart()
	// All who wait call before those who are busy do.
	for _, a := range agents {
		a.core = s.core
		if s.describe(string(a.Host)).Phase == syncv1.Phase_PHASE_DONE {
			a.asks()
		}
	}
	if n := following(); n > 4 {
		t.Errorf("%d of 40 follow at a time, want 4", n)
	}
}

// R9: one lost call of a healthy member is a silence of 65 seconds: 25 held back, 40 until the call is given up.
func TestOneLostCallIsNoReasonToTakeOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(time.Minute)) // the least that cluster.yaml takes
	masters := threeMasters(s)
	spare := s.join("master", 3)
	s.pass(5*time.Minute, masters[0], masters[1], masters[2], spare)
	s.clock.advance(25 * time.Second)
	for _, h := range []*host{masters[0], masters[2], spare} {
		h.asks()
	}
	s.clock.advance(25 * time.Second)
	for _, h := range []*host{masters[0], masters[2], spare} {
		h.asks()
	}
	s.clock.advance(14 * time.Second)
	for _, h := range []*host{masters[0], masters[2]} {
		h.asks()
	}
	wantWait(t, spare.asks(), "spare")
	masters[1].asks() // its second try
}

// R10: a place that is kept for a listed host is given to a spare for good.
func TestMembersOfNoZoneTakeNoPlaceOfTheZones(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.generation.Roles[0].Zones = []string{"a", "b", "c"} })
	s.joinIn("", 1)
	s.joinIn("d", 2)
	s.joinIn("a", 3)
	b := s.joinIn("b", 4)
	c := s.joinIn("c", 5)
	for _, h := range []*host{b, c} {
		if got := s.describe(string(h.Host)); got.Role != "master" {
			t.Errorf("the host in zone %s has the role %q; the members are %v", got.Facts.Zone, got.Role, s.members())
		}
	}
}

// R11: what operators are told who approve a host that lost its place.
func TestApprovingAReplacedHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	s.replace("node-1", 3)
	_, err := s.core.Assign(context.Background(), operator, string(masters[1].Host), "agent")
	var f *fault.Error
	if !errors.As(err, &f) || strings.HasSuffix(f.What, "has the role ") {
		t.Errorf("it is told %q", f.What)
	}
}

// R12: the spare that waited longest is in quarantine.
func TestASpareInQuarantineIsPassedOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	first := s.join("master", 3)
	s.clock.advance(time.Second)
	second := s.join("master", 4)
	old := first.leaf()
	renewed, err := s.core.Renew(context.Background(), first.caller(), request(t, newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	first.Credential = renewed
	_, _ = s.core.Host(context.Background(), shows(first.leaf()))
	_, _ = s.core.Host(context.Background(), shows(old))
	done, err := s.core.Replace(context.Background(), operator, "node-1", "")
	if err != nil || done.Spare != second.Host {
		t.Errorf("%+v, %v", done, err)
	}
}

// R13: the machine that was installed anew keeps its address, so it can never become the spare that would free it.
func TestAMemberThatReturnsWithItsAddressTakesItsPlaceOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	s.pass(11*time.Minute, masters[0], masters[2])
	again := numbered(1)
	again.token = s.token("master", 1)
	if _, err := s.apply(again); err != nil {
		t.Errorf("11 minutes after node-1 was last heard of, it comes back with a new disk: %v", err)
	}
}

// R14: a spare that an operator approves takes the place of a silent member, and nobody said "replace".
func TestApproveReplacesNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	x := s.join("", 3)
	s.pass(11*time.Minute, masters[0], masters[2], x)
	_, err := s.core.Assign(context.Background(), operator, "node-3", "master")
	t.Logf("approve: %v; members %v; events %v", err, s.members(), messages(s.events("replaced")))
	if e := s.events("replaced"); len(e) == 1 && e[0].Actor != operator.Name {
		t.Errorf("the event says that %q did it", e[0].Actor)
	}
}

// R15: a host whose token lets it be a master may be named a second time by --by though it was last heard of a week ago.
func TestReplaceByADeadHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	s.join("master", 3)
	s.clock.advance(7 * 24 * time.Hour)
	for _, m := range masters {
		m.asks()
	}
	_, err := s.core.Replace(context.Background(), operator, "node-1", "node-3")
	if err == nil {
		t.Errorf("a member that is well gave its place to a host that was last heard of a week ago: %v", s.members())
	}
}

var _ = identity.TokenSpec{}
var _ manifest.Role

// counting counts what is read.
type counting struct {
	store.Store
	views *atomic.Int64
}

func (c counting) View(ctx context.Context, f func(store.Reader) error) error {
	c.views.Add(1)
	return c.Store.View(ctx, f)
}

// R16: each host that gets done in a role that another comes after wakes every host that there is, and resident ones never leave.
func TestWhatAHostCostsDoesNotGrowWithTheHosts(t *testing.T) {
	views := new(atomic.Int64)
	cost := func(n int) int64 {
		s := newSite(t, resident, func(s *site) { s.generation.Roles[2].After = []manifest.Role{"agent"} })
		s.store = counting{s.store, views}
		var err error
		if s.core, err = s.serve(); err != nil {
			t.Fatal(err)
		}
		threeMasters(s)
		for i := range n {
			a := s.join("agent", 50+i)
			a.install()
			a.waits(a.asks().Id, time.Minute)
		}
		last := s.join("agent", 50+n)
		last.says(hosts.Preflight, hosts.Ready)
		time.Sleep(100 * time.Millisecond)
		views.Store(0)
		last.install()
		time.Sleep(200 * time.Millisecond)
		return views.Load()
	}
	few, many := cost(5), cost(50)
	if many > few+10 {
		t.Errorf("one more host that is done costs %d reads beside 5 resident hosts and %d beside 50", few, many)
	}
}
