package coordinator_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestARemovedHostIsDenied(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	h := s.join("master", 1)
	waiting := h.waits(h.asks().Id, time.Hour)
	if err := s.core.Remove(ctx, operator, "10.0.0.2"); err != nil {
		t.Fatal(err)
	}
	if soon(t, waiting) != nil {
		t.Error("its held-back call was answered")
	}
	before := s.state()
	_, err := s.core.Sync(ctx, h.caller(), &syncv1.SyncRequest{Reports: []*syncv1.Report{report(1, 1, true)}, Observed: h.observed(hosts.Preflight)})
	if !errors.Is(err, coordinator.ErrRemoved) {
		t.Error(err)
	}
	if _, err := s.core.Renew(ctx, h.caller(), request(t, newKey(t))); !errors.Is(err, coordinator.ErrRemoved) {
		t.Error(err)
	}
	for range 5 {
		_, err = s.core.Host(ctx, shows(h.leaf()))
		wantFault(t, err, fault.Denied, "was removed by an operator")
	}
	wantFault(t, s.core.Remove(ctx, operator, string(h.Host)), fault.NotFound, string(h.Host))
	s.wantState(before)
	s.wantEvent("host-denied", "was removed by an operator")
	s.wantEvent("removed", "node-1")
	if s.members()[0] != "" {
		t.Errorf("%v", s.members())
	}
}

func TestRemovingAHostTakesItsReportsAndLeavesItsRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{report(1, 1, true), report(900, 1, true), report(901, 1, true)}})
	if err := s.core.Remove(context.Background(), operator, string(h.Host)); err != nil {
		t.Fatal(err)
	}
	for key := range s.state() {
		if strings.HasPrefix(key, "reports/") || strings.HasPrefix(key, "addresses/") {
			t.Errorf("%s is left", key)
		}
	}
	if _, ok := s.state()["hosts/"+string(h.Host)]; !ok {
		t.Error("the record is gone")
	}
}

func TestARenewedCertificateReplacesTheOldOneWhenItIsUsed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := newSite(t).join("agent", 1)
	old := h.leaf()
	key := newKey(t)
	fresh, err := h.core.Renew(ctx, h.caller(), request(t, key))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the answer may have been lost
		if who, err := h.core.Host(ctx, shows(old)); err != nil || who.Host != h.Host {
			t.Fatalf("the old one, before the new was used: %v", err)
		}
	}
	if who, err := h.core.Host(ctx, shows(parse(t, fresh))); err != nil || who.Host != h.Host {
		t.Fatalf("the new one: %v", err)
	}
	// On a connection that it was good on, it may be a call that was long on its way.
	before := h.state()
	_, err = h.core.Host(ctx, coordinator.Shown{Certificate: old, Before: true})
	wantFault(t, err, fault.Denied, "is no longer current")
	h.wantState(before)
	h.wantEvent("host-denied", "is no longer current")

	// From then on the host comes back by the new key, and somebody with the old one, as on a cloned disk, does not.
	h.clock.advance(48 * time.Hour)
	again, err := h.apply(applicant{key: key, token: h.token("agent", 1), name: "node-1", address: "10.0.0.2"})
	if err != nil || again.Host != h.Host {
		t.Errorf("by the new key: %s, %v", again.Host, err)
	}
	_, err = h.apply(applicant{key: h.key, token: newSite(t).token("agent", 1), name: "node-1", address: "10.0.0.2"})
	wantFault(t, err, fault.Denied, "the join token was refused")
}

func TestAHostWhoseRenewalWasLostComesBackByEitherKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, newest := range map[string]bool{"the old": false, "the new": true} {
		t.Run(name, func(t *testing.T) {
			h := newSite(t).join("agent", 1)
			key := newKey(t)
			if _, err := h.core.Renew(ctx, h.caller(), request(t, key)); err != nil {
				t.Fatal(err)
			}
			h.clock.advance(48 * time.Hour)
			a := applicant{key: h.key, token: newSite(t).token("agent", 1), name: "node-1", address: "10.0.0.2"}
			if newest {
				a.key = key
			}
			again, err := h.apply(a)
			if err != nil || again.Host != h.Host {
				t.Fatalf("%s, %v", again.Host, err)
			}
			if _, err := h.core.Host(ctx, shows(parse(t, again))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAHostThatRenewsWithoutEndFillsNothing(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	if _, err := h.core.Renew(context.Background(), h.caller(), request(t, newKey(t))); err != nil {
		t.Fatal(err)
	}
	before := len(h.state())
	for range 50 {
		c, err := h.core.Renew(context.Background(), h.caller(), request(t, newKey(t)))
		if err != nil {
			t.Fatal(err)
		}
		h.Credential = c
		if _, err := h.core.Host(context.Background(), shows(h.leaf())); err != nil {
			t.Fatal(err)
		}
	}
	if now := len(h.state()); now > before {
		t.Errorf("%d records, before %d", now, before)
	}
}

// A request for a certificate is not secret: a host that got hold of another's must not turn its key into its own.
func TestAHostCannotTakeTheKeyOfAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	victim, rogue := s.join("agent", 1), s.join("agent", 2)
	before := s.state()
	_, err := s.core.Renew(context.Background(), rogue.caller(), request(t, victim.key))
	wantFault(t, err, fault.Denied, "the key belongs to another host")
	s.wantState(before)
}

func TestAnExpiredCertificateIsDeniedOnALivingConnection(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	h.clock.advance(24*time.Hour + time.Second)
	before := h.state()
	_, err := h.core.Host(context.Background(), shows(h.leaf()))
	wantFault(t, err, fault.Denied, "has expired")
	h.wantState(before)
}

func TestACertificateOfAnotherClusterNamesNoHost(t *testing.T) {
	t.Parallel()
	s, other := newSite(t), newSite(t)
	_, err := s.core.Host(context.Background(), shows(other.join("agent", 1).leaf()))
	wantFault(t, err, fault.Denied, "is not known")
	s.wantEvent("host-denied", "is not known")
}

// A coordinator that cannot read is no reason for a host to join again.
func TestAStoreThatFailsDeniesNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.core.Host(context.Background(), shows(h.leaf())); err == nil || errors.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
}
