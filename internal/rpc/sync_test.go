package rpc_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestTheThirdMasterReleasesAWaitingAgentAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := s.join("agent", 50)
	s.join("master", 1)
	d := agent.says(syncv1.Phase_PHASE_PREFLIGHT, syncv1.Phase_PHASE_READY)
	if want := "waiting for 2 more of 3 hosts of role master"; d.GetWait().GetReason() != want {
		t.Fatalf("got %v, want %q", d, want)
	}
	s.join("master", 2)
	waiting := agent.waits(agent.says(syncv1.Phase_PHASE_READY).Id)
	token := s.token("master", 1)
	began := time.Now()
	s.enrol(3, token)
	got := soon(t, waiting)
	if took := time.Since(began); got.err != nil || took > time.Second {
		t.Fatalf("after %v: %v", took, got.err)
	}
	if plan := got.Directive.GetInstall(); len(plan.GetLate()) != 4 || plan.Late["Roster.master[2].Address"] != "10.0.0.3" {
		t.Errorf("%v", got.Directive)
	}
}

func TestAHeldBackAnswerComesAtTheEndOfTheHold(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	d := h.says(syncv1.Phase_PHASE_PREFLIGHT)
	began := time.Now()
	resp, err := h.sync(&syncv1.SyncRequest{Following: d.Id, Hold: durationpb.New(200 * time.Millisecond)})
	if took := time.Since(began); err != nil || resp.Directive.Id != d.Id || took < 190*time.Millisecond || took > 5*time.Second {
		t.Errorf("after %v: %v, %v", took, resp, err)
	}
}

func TestARemovedHostIsDeniedOnItsLivingConnection(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("master", 1)
	waiting := h.waits(h.says(syncv1.Phase_PHASE_PREFLIGHT).Id)
	if _, err := h.operator.RemoveHost(t.Context(), &operatorv1.RemoveHostRequest{Host: string(h.id)}); err != nil {
		t.Fatal(err)
	}
	err := soon(t, waiting).err
	wantCode(t, err, codes.PermissionDenied, "removed by an operator")
	wantLeave(t, err, true)
	before := h.state()
	_, err = h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{{Sequence: 1, Attempt: 1}}})
	wantCode(t, err, codes.PermissionDenied, "removed by an operator")
	wantLeave(t, err, true)
	if remedy(err) == "" {
		t.Error("no remedy")
	}
	_, err = h.Renew(t.Context(), &syncv1.RenewRequest{Csr: newCSR(t, newKey(t))})
	wantCode(t, err, codes.PermissionDenied, "removed by an operator")
	h.wantState(before)
	h.wantEvent("host-denied", "removed by an operator")
	h.wantEvent("removed", "node-aab")
}

// wantLeave wants a denial to say, or not to say, that the host is to leave.
func wantLeave(t testing.TB, err error, want bool) {
	t.Helper()
	said := slices.ContainsFunc(status.Convert(err).Details(), func(d any) bool { leave, ok := d.(*syncv1.Leave); return ok && leave.Reason != "" })
	if said != want {
		t.Errorf("told to leave: %v, with %v", said, err)
	}
}

func TestAnExpiredCertificateIsDeniedOnALivingConnection(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	h.says(syncv1.Phase_PHASE_PREFLIGHT)
	h.advance(25 * time.Hour)
	before := h.state()
	_, err := h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{{Sequence: 1, Attempt: 1}}})
	wantCode(t, err, codes.PermissionDenied, "has expired")
	wantLeave(t, err, false)
	// And it opens no new one.
	_, err = h.host(h.id, h.cert.Certificate, newKey(t)).sync(&syncv1.SyncRequest{})
	wantCode(t, err, codes.Unavailable, "")
	h.wantState(before)
}

func TestARenewedCertificateReplacesTheOldOneWhenItIsUsed(t *testing.T) {
	t.Parallel()
	old := newSite(t).join("agent", 1)
	key := newKey(t)
	resp, err := old.Renew(t.Context(), &syncv1.RenewRequest{Csr: newCSR(t, key)})
	if err != nil || !resp.Expires.AsTime().Equal(start.Add(24*time.Hour)) {
		t.Fatal(resp, err)
	}
	if _, err := old.sync(&syncv1.SyncRequest{}); err != nil {
		t.Errorf("the old one, before the new was used: %v", err)
	}
	if _, err := old.host(old.id, resp.Chain, key).sync(&syncv1.SyncRequest{}); err != nil {
		t.Errorf("the new one: %v", err)
	}
	before := old.state()
	_, err = old.sync(&syncv1.SyncRequest{})
	wantCode(t, err, codes.PermissionDenied, "is no longer current")
	wantLeave(t, err, false)
	old.wantState(before)
	old.wantEvent("host-denied", "is no longer current")
}

func TestARenewalWithoutAGoodRequestIsRefused(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	before := h.state()
	for name, csr := range map[string][]byte{"none": nil, "nonsense": []byte("x"), "too long": make([]byte, 9<<10)} {
		_, err := h.Renew(t.Context(), &syncv1.RenewRequest{Csr: csr})
		wantCode(t, err, codes.InvalidArgument, "certificate request refused")
		if t.Failed() {
			t.Error(name)
		}
	}
	h.wantState(before)
}

// A failure that is nobody's fault tells a host nothing of the coordinator's inside.
func TestAFailureInsideStaysInside(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := h.sync(&syncv1.SyncRequest{})
	wantCode(t, err, codes.Internal, "the coordinator failed inside; its log says why")
	_, err = h.operator.ListTokens(t.Context(), &operatorv1.ListTokensRequest{})
	wantCode(t, err, codes.Internal, "database not open") // the operator may know
}
