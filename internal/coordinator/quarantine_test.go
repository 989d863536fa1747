package coordinator_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	syncv1 "muster/proto/muster/sync/v1"
)

// renewed is the host with a further certificate, which it has not shown yet.
func (h *host) renewed() *host {
	h.Helper()
	key := newKey(h)
	c, err := h.core.Renew(context.Background(), h.caller(), request(h, key))
	if err != nil {
		h.Fatal(err)
	}
	return &host{site: h.site, Credential: c, key: key, attempt: h.attempt}
}

// shows opens a connection from an address with the host's certificate.
func (h *host) shows(from string) error {
	h.Helper()
	_, err := h.core.Host(context.Background(), coordinator.Shown{Certificate: h.leaf(), From: netip.MustParseAddr(from)})
	return err
}

func (h *host) mustShow(from string) {
	h.Helper()
	if err := h.shows(from); err != nil {
		h.Fatal(err)
	}
}

// cloned is a host in quarantine: its certificate of before, as a copy of its disk has it, and the one in use.
func cloned(t *testing.T) (s *site, copied, original *host) {
	t.Helper()
	s = newSite(t)
	copied = s.join("agent", 1)
	original = copied.renewed()
	original.mustShow("10.0.0.2")
	wantFault(t, copied.shows("198.51.100.66"), fault.Denied, "is in quarantine: two machines have its identity")
	return s, copied, original
}

func TestACertificateOfBeforeTheRenewalQuarantinesTheHost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, copied, original := cloned(t)
	id := original.Host
	for name, serial := range map[string]string{"of the copy": identity.Serial(copied.leaf()), "in use": identity.Serial(original.leaf())} {
		s.wantEvent("quarantined", serial[:12])
		if t.Failed() {
			t.Fatalf("the serial %s", name)
		}
	}
	events := s.events("quarantined")
	if events[0].Host != id || events[0].From != "198.51.100.66" || !strings.Contains(events[0].Message, "10.0.0.2") {
		t.Errorf("%+v", events[0])
	}
	q := s.describe(string(id)).Quarantine
	if q == nil || !strings.Contains(q.Reason, "198.51.100.66") || !strings.Contains(q.Remedy, "hosts release "+string(id)) || !q.Since.AsTime().Equal(start) {
		t.Errorf("status says %v", q)
	}

	// Neither gets or changes anything, also after the coordinator has been restarted.
	before := s.state()
	s.restart()
	for name, h := range map[string]*host{"the copy": copied, "the original": original} {
		const want = "is in quarantine"
		wantFault(t, h.shows("10.0.0.2"), fault.Denied, want)
		resp, err := s.core.Sync(ctx, h.caller(), &syncv1.SyncRequest{Reports: []*syncv1.Report{report(1, 1, true)}, Observed: h.observed(hosts.Preflight)})
		wantFault(t, err, fault.Denied, want)
		if resp != nil {
			t.Errorf("%s got %v", name, resp)
		}
		_, err = s.core.Renew(ctx, h.caller(), request(t, newKey(t)))
		wantFault(t, err, fault.Denied, want)
	}
	_, err := s.apply(applicant{key: original.key, token: newSite(t).token("agent", 1), name: "node-1", address: "10.0.0.2"})
	wantFault(t, err, fault.Denied, "is in quarantine")
	_, err = s.core.Retry(ctx, operator, string(id))
	wantFault(t, err, fault.Denied, "is in quarantine")
	s.wantState(before)
	if len(s.events("quarantined")) != 1 {
		t.Error("it is told more than once")
	}
}

func TestAQuarantineEndsHeldBackCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	copied := s.join("agent", 1)
	original := copied.renewed()
	original.mustShow("10.0.0.2")
	waiting := original.waits(original.asks().Id, time.Hour)
	if copied.shows("198.51.100.66") == nil {
		t.Fatal("the copy is let in")
	}
	if resp := soon(t, waiting); resp != nil {
		t.Errorf("it was answered: %v", resp)
	}
}

func TestTheFirstUseOfARenewalEndsCallsThatAreHeldBackByTheOneBefore(t *testing.T) {
	t.Parallel()
	copied := newSite(t).join("agent", 1)
	waiting := copied.waits(copied.asks().Id, time.Hour)
	copied.renewed().mustShow("10.0.0.2")
	if resp := soon(t, waiting); resp != nil {
		t.Errorf("it was answered: %v", resp)
	}
}

func TestAReleasedHostGoesOnByTheCertificateInUse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, copied, original := cloned(t)
	if id, err := s.core.Release(ctx, operator, "node-1"); err != nil || id != original.Host {
		t.Fatal(id, err)
	}
	s.wantEvent("released", identity.Serial(original.leaf())[:12])
	if s.describe("node-1").Quarantine != nil {
		t.Error("status still says so")
	}
	original.mustShow("10.0.0.2")
	original.says(hosts.Preflight)
	wantFault(t, func() error { _, err := s.core.Release(ctx, operator, "node-1"); return err }(), fault.Conflict, "is not in quarantine")

	// A copy that is still there brings it back.
	wantFault(t, copied.shows("198.51.100.66"), fault.Denied, "is in quarantine")
	wantFault(t, original.shows("10.0.0.2"), fault.Denied, "is in quarantine")
}

// A renewal that was on its way when the copy came belongs to whoever has the certificate in use.
func TestAReleasedHostGoesOnByARenewalThatItHadNotShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	copied := s.join("agent", 1)
	original := copied.renewed()
	original.mustShow("10.0.0.2")
	next := original.renewed()
	if copied.shows("198.51.100.66") == nil {
		t.Fatal("the copy is let in")
	}
	if _, err := s.core.Release(context.Background(), operator, "node-1"); err != nil {
		t.Fatal(err)
	}
	next.mustShow("10.0.0.2")
}

func TestAHostInQuarantineCanBeRemoved(t *testing.T) {
	t.Parallel()
	s, copied, original := cloned(t)
	if err := s.core.Remove(context.Background(), operator, string(original.Host)); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*host{copied, original} {
		wantFault(t, h.shows("10.0.0.2"), fault.Denied, "was removed by an operator")
	}
	s.join("agent", 1) // its address is free
}

func TestLostAnswersOfRenewalsQuarantineNobody(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]int{"the first arrived": 0, "one between arrived": 2, "the last arrived": 4} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			h := s.join("agent", 1)
			var issued []*host
			for range 5 {
				issued = append(issued, h.renewed())
				h.mustShow("10.0.0.2") // it has not heard
			}
			h = issued[shown]
			for range 3 {
				h.mustShow("10.0.0.2")
			}
			h = h.renewed()
			h.mustShow("10.0.0.2")
			if len(s.events("quarantined")) != 0 || s.describe("node-1").Quarantine != nil {
				t.Error("an honest host is in quarantine")
			}
		})
	}
}

// Of two machines that renew from the same certificate, one is faster. The other is then seen.
func TestTwoMachinesThatRenewAtOnceAreSeen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	const machines = 6
	var issued []*host
	for range machines {
		issued = append(issued, h.renewed())
	}
	errs := make([]error, machines)
	var wg sync.WaitGroup
	for i, machine := range issued {
		wg.Go(func() { errs[i] = machine.shows("10.0.0.2") })
	}
	wg.Wait()
	let := 0
	for _, err := range errs {
		if err == nil {
			let++
		}
	}
	if let != 1 || len(s.events("quarantined")) != 1 || s.describe("node-1").Quarantine == nil {
		t.Errorf("%d were let in, events %v", let, s.events("quarantined"))
	}
}

func TestACallThatWasLongOnItsWayQuarantinesNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	old := s.join("agent", 1)
	fresh := old.renewed()
	fresh.mustShow("10.0.0.2")
	before := s.state()
	gone, hangUp := context.WithCancel(ctx)
	hangUp()
	for name, c := range map[string]struct {
		ctx context.Context
		coordinator.Shown
	}{
		"on a connection that it was good on": {ctx, coordinator.Shown{Certificate: old.leaf(), Before: true}},
		"by a caller that has hung up":        {gone, coordinator.Shown{Certificate: old.leaf()}},
	} {
		if _, err := s.core.Host(c.ctx, c.Shown); err == nil || len(s.events("quarantined")) > 0 {
			t.Errorf("%s: %v, %v", name, err, s.events("quarantined"))
		}
	}
	// What was let in before the renewal was used does nothing after it.
	_, err := s.core.Sync(ctx, old.caller(), &syncv1.SyncRequest{Reports: []*syncv1.Report{report(1, 1, true)}})
	wantFault(t, err, fault.Denied, "is no longer current")
	_, err = s.core.Renew(ctx, old.caller(), request(t, newKey(t)))
	wantFault(t, err, fault.Denied, "is no longer current")
	s.wantState(before)
	fresh.mustShow("10.0.0.2")
}

func TestRenewalsThatAreNeverShownFillNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	for range 9 {
		h.renewed()
	}
	before := len(s.state())
	for range 50 {
		h.renewed()
	}
	if now := len(s.state()); now != before {
		t.Errorf("%d records, before %d", now, before)
	}
	h.mustShow("10.0.0.2")
}

func TestTheEndOfTheCAIsSaidInTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		want  bool
	}{"at its beginning": {0, false}, "a year on": {365 * 24 * time.Hour, false}, "two months before": {670 * 24 * time.Hour, true}} {
		var log bytes.Buffer
		s := newSite(t)
		dir := filepath.Join(t.TempDir(), "ca")
		ca, err := identity.Create(dir, cluster, start)
		if err != nil {
			t.Fatal(err)
		}
		if err := identity.RemoveRootKey(dir); err != nil {
			t.Fatal(err)
		}
		core, err := coordinator.New(t.Context(), coordinator.Options{
			Store: s.store, CA: ca, Generation: s.generation, Manifests: s.manifests, Clock: s.clock.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.clock.advance(c.after)
		core.Tend()
		if said := strings.Contains(log.String(), "coordinator ca import FILE"); said != c.want {
			t.Errorf("%s: %s", name, log.String())
		}
	}
}
