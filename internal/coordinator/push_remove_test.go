package coordinator_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/identity"
	operatorv1 "muster/proto/muster/operator/v1"
)

func TestAHostThatWasPushedToAndNeverJoinedIsRemoved(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	a, b := numbered(1), numbered(2)
	a.token = s.token("agent", 1, func(t *identity.TokenSpec) { t.Host = a.address })
	b.token = s.token("agent", 1, func(t *identity.TokenSpec) { t.Host = b.address })
	s.push(coordinator.Push{Target: a.address, OK: true, Token: a.token[4:16]})
	s.push(coordinator.Push{Target: b.address, Class: "refused", Message: "connection refused", Token: b.token[4:16]})
	w, stop := s.watch()
	defer stop()
	<-w.complete

	if err := s.core.Remove(ctx, operator, a.address); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the row is gone", func(rows map[string]*operatorv1.Host) bool {
		return rows[a.address] == nil && rows[b.address] != nil
	})
	_, err := s.core.Describe(a.address)
	wantFault(t, err, fault.NotFound, "there is no host")
	if _, err := s.apply(a); !errors.Is(err, fault.Denied) {
		t.Errorf("a host joins by the token of the push that was removed: %v", err)
	}
	if e := s.events("removed"); len(e) != 1 || e[0].Actor != operator.Name || e[0].Message != a.address+", which was pushed to and never joined" {
		t.Errorf("the events of the removal are %v", e)
	}
	if e := s.events("token-revoked"); len(e) != 1 || e[0].Actor != operator.Name {
		t.Errorf("the events of the token are %v", e)
	}
	// Nothing of it comes back, and the other push is as it was.
	s.restart()
	if rows, _ := s.list(0); len(rows) != 1 || rows[0].Name != b.address {
		t.Errorf("after a restart: %v", rows)
	}
	if _, err := s.apply(b); err != nil {
		t.Errorf("the host of the other push: %v", err)
	}

	before := s.state()
	for _, gone := range []string{a.address, "nobody", ""} {
		wantFault(t, s.core.Remove(ctx, operator, gone), fault.NotFound, "there is no host")
	}
	if !maps.Equal(before, s.state()) {
		t.Error("removing what is not there changes the state")
	}
}

// A push may be recorded under the token of another host: by mistake, or by an operator that may push and not revoke.
func TestRemovingAPushRevokesNoTokenOfAnotherHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n, token := range map[int]string{1: s.token("agent", 1), 2: s.token("agent", 1, func(t *identity.TokenSpec) { t.Host = "web-9" })} {
		a := numbered(n)
		a.token = token
		s.push(coordinator.Push{Target: "web-1", OK: true, Token: token[4:16]})
		if err := s.core.Remove(context.Background(), operator, "web-1"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.apply(a); err != nil {
			t.Errorf("the token is gone: %v", err)
		}
	}
}
