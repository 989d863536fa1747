package coordinator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// resident has bootstrap agents stay, and masters name the masters, as a store's members do.
func resident(s *site) {
	s.generation.Resident = true
	s.manifests["master"].Late = slots("Host.Name", "Roster.master[0].Address", "Roster.master[1].Address", "Roster.master[2].Address")
}

func takeOver(after time.Duration) func(*site) {
	return func(s *site) { s.generation.Roles[0].TakeOver = manifest.Span(after) }
}

// install follows the plan that the host is given to its end, and answers what it is told then.
func (h *host) install() *syncv1.Directive {
	h.Helper()
	d := h.asks()
	if d.GetPreflight() != nil {
		d = h.says(hosts.Preflight, hosts.Ready)
	}
	plan := d.GetInstall()
	if plan == nil {
		h.Fatalf("%s has nothing to install: %v", h.Host, d)
	}
	h.attempt = d.Attempt
	o := h.observed(hosts.Done)
	o.PlanId = plan.Id
	return h.sync(&syncv1.SyncRequest{Observed: o}).Directive
}

// threeMasters are done.
func threeMasters(s *site) []*host {
	s.Helper()
	masters := []*host{s.join("master", 0), s.join("master", 1), s.join("master", 2)}
	for _, m := range masters {
		wantWait(s, m.install(), "")
	}
	return masters
}

// refused wants the host's next call to be denied because it was removed.
func (h *host) refused() {
	h.Helper()
	if _, err := h.core.Sync(context.Background(), h.caller(), &syncv1.SyncRequest{}); !errors.Is(err, coordinator.ErrRemoved) {
		h.Errorf("its next call: %v", err)
	}
}

func TestASpareReplacesAMemberByTheOperatorsWord(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	masters := threeMasters(s)
	spare := s.join("master", 3)
	wantWait(t, spare.asks(), "spare: role master has all its members")
	answer := spare.waits(spare.asks().Id, time.Minute)

	done, err := s.core.Replace(context.Background(), operator, "node-1", "")
	if err != nil {
		t.Fatal(err)
	}
	if want := (coordinator.Replacement{Member: masters[1].Host, Spare: spare.Host, Role: "master", Index: 1}); done != want {
		t.Errorf("got %+v, want %+v", done, want)
	}
	if got := soon(t, answer); got.Directive.GetPreflight().GetRole() != "master" {
		t.Errorf("it is told %v", got.Directive)
	}
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-3", "node-2"}) {
		t.Errorf("%v", got)
	}
	s.wantEvent("replaced", "node-3 takes the place master/1 of node-1 ("+string(masters[1].Host)+"): by the operator's word")

	// The member is to go as soon as it is heard of. Until then status says so, and its address is free.
	if was := s.describe(string(masters[1].Host)); was.Role != "" || was.Phase != syncv1.Phase_PHASE_UNINSTALLING || !strings.Contains(was.Waiting, "replaced by node-3") {
		t.Errorf("%+v", was)
	}
	anew := numbered(1)
	anew.token = s.token("agent", 1)
	if _, err := s.apply(anew); err != nil {
		t.Errorf("its address is not free: %v", err)
	}
	// Of the two at one address only the one that is there is shown, also by another process.
	for range 2 {
		if h, err := s.core.Describe("node-1"); err != nil || h.Role != "agent" || h.Address != "10.0.0.2" {
			t.Errorf("who is shown is %v, %v", h, err)
		}
		s.restart()
		masters[1].core = s.core
	}
	if d := masters[1].says(hosts.Done); d.GetUninstall() == nil || d.GetUninstall().Purge || d.Attempt != 2 {
		t.Errorf("the member is told %v", d)
	}
	masters[1].attempt = 2
	masters[1].says(hosts.Failed, hosts.Done)
	if d := masters[1].asks(); d.GetUninstall() == nil {
		t.Errorf("whatever it says, it is told %v", d)
	}
	if _, err := s.core.Sync(context.Background(), masters[1].caller(), &syncv1.SyncRequest{Observed: masters[1].observed(hosts.Removed)}); !errors.Is(err, coordinator.ErrRemoved) {
		t.Errorf("having uninstalled: %v", err)
	}
	masters[1].refused()
	if _, err := s.core.Describe(string(masters[1].Host)); !errors.Is(err, fault.NotFound) {
		t.Errorf("it is still there: %v", err)
	}
	if h, err := s.core.Describe("10.0.0.2"); err != nil || h.Role != "agent" {
		t.Errorf("who has its address: %v, %v", h, err)
	}
	s.wantEvent("removed", "node-1 has uninstalled what it had")
}

func TestAMemberWhoseBootstrapAgentLeftIsReplacedAndCannotBeTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	member := s.join("master", 0)
	s.join("master", 1)
	s.join("master", 2)
	if d := member.install(); d.GetLeave() == nil {
		t.Errorf("it is told %v", d)
	}
	s.join("master", 3)
	done, err := s.core.Replace(context.Background(), operator, "node-0", "node-3")
	if err != nil || !done.Left {
		t.Fatalf("%+v, %v", done, err)
	}
	member.refused()
}

func TestWhoCannotReplaceOrBeReplacedIsRefusedAndNothingChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	agent := s.join("agent", 50)
	agent.install()
	for _, c := range []struct {
		name, host, by string
		class          fault.Class
		text           string
	}{
		{"where nobody waits", "node-0", "", fault.Conflict, "no spare waits for a place in role master"},
		{"by a host that is something else", "node-0", "node-50", fault.Conflict, "host node-50 is done already"},
		{"by another member", "node-0", "node-1", fault.Conflict, "host node-1 is done already"},
		{"by itself", "node-0", "node-0", fault.Conflict, "host node-0 is done already"},
		{"by nobody that there is", "node-0", "node-9", fault.NotFound, "node-9"},
		{"a host without a place", "node-50", "", fault.Conflict, "has no place in a role with a fixed number of members"},
		{"a host that there is not", "node-9", "", fault.NotFound, "node-9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.state()
			_, err := s.core.Replace(context.Background(), operator, c.host, c.by)
			wantFault(t, err, c.class, c.text)
			s.wantState(before)
		})
	}
	if events := s.events("replaced"); len(events) > 0 {
		t.Errorf("%+v", events)
	}
}

func TestTheSpareIsTheOneThatHasWaitedLongestAndIsHeardOf(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	s.join("master", 3) // waits longest, and then is gone
	s.clock.advance(time.Second)
	second := s.join("master", 4)
	s.clock.advance(time.Second)
	third := s.join("master", 5)
	s.clock.advance(2 * time.Minute)
	second.asks()
	third.asks()
	done, err := s.core.Replace(context.Background(), operator, "node-2", "")
	if err != nil || done.Spare != second.Host || done.Index != 2 {
		t.Errorf("%+v, %v; want %s", done, err, second.Host)
	}
}

func TestAWaitingHostOfAnotherTokenIsTakenOnlyWhenItIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident)
	threeMasters(s)
	s.join("", 3) // nothing decides its role
	_, err := s.core.Replace(context.Background(), operator, "node-0", "")
	wantFault(t, err, fault.Conflict, "no spare waits")
	if _, err := s.core.Replace(context.Background(), operator, "node-0", "node-3"); err != nil {
		t.Fatal(err)
	}
	if got := s.members(); !slices.Equal(got, []string{"node-3", "node-1", "node-2"}) {
		t.Errorf("%v", got)
	}
}

// pass lets time go by while these hosts call.
func (s *site) pass(d time.Duration, calling ...*host) {
	s.Helper()
	for ; d > 0; d -= 30 * time.Second {
		s.clock.advance(30 * time.Second)
		for _, h := range calling {
			h.asks()
		}
	}
}

func TestASpareTakesOverByItselfWhenAMemberIsSilentAndTheOthersAreNot(t *testing.T) {
	t.Parallel()
	s := newSite(t, resident, takeOver(10*time.Minute))
	masters := threeMasters(s)
	spare := s.join("master", 3)
	s.pass(9*time.Minute, masters[0], masters[2], spare)
	wantWait(t, spare.asks(), "spare: role master has all its members")
	s.pass(90*time.Second, masters[0], masters[2], spare)
	if d := spare.asks(); d.GetPreflight().GetRole() != "master" {
		t.Fatalf("after 10 minutes it is told %v", d)
	}
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-3", "node-2"}) {
		t.Errorf("%v", got)
	}
	s.wantEvent("replaced", "node-3 takes the place master/1 of node-1 ("+string(masters[1].Host)+"): it was not heard of for 10m")

	// It was only cut off, and comes back.
	if d := masters[1].asks(); d.GetUninstall() == nil {
		t.Errorf("the member that comes back is told %v", d)
	}
	spare.install()
	masters[0].install() // the others follow
	masters[2].install()
	// Another is silent, and no spare is there: one that joins takes over at once.
	s.pass(11*time.Minute, masters[0], spare)
	s.join("master", 4)
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-3", "node-4"}) {
		t.Errorf("%v", got)
	}
}

func TestNobodyTakesOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		change  []func(*site)
		calling []int
		restart bool
	}{
		{"where cluster.yaml does not say so", nil, []int{0, 2}, false},
		{"where two members are silent", []func(*site){takeOver(10 * time.Minute)}, []int{0}, false},
		{"where the coordinator has just begun", []func(*site){takeOver(10 * time.Minute)}, []int{0, 2}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, append(c.change, resident)...)
			masters := threeMasters(s)
			spare := s.join("master", 3)
			calling := []*host{spare}
			for _, n := range c.calling {
				calling = append(calling, masters[n])
			}
			if c.restart {
				s.pass(9*time.Minute, calling...)
				s.restart()
				for _, h := range append(masters, spare) {
					h.core = s.core
				}
				s.pass(9*time.Minute, calling...)
			} else {
				s.pass(time.Hour, calling...)
			}
			wantWait(t, spare.asks(), "spare")
			if got := s.members(); !slices.Equal(got, []string{"node-0", "node-1", "node-2"}) {
				t.Errorf("%v", got)
			}
		})
	}
}
