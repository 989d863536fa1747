package rpc_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"muster/internal/seed"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestAnOperatorIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	for name, c := range map[string]struct {
		call   func(ctx context.Context, o operatorv1.OperatorServiceClient) error
		code   codes.Code
		text   string
		remedy string
	}{
		"a host that is not there": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.GetHost(ctx, &operatorv1.GetHostRequest{Host: "node-x"})
			return err
		}, codes.NotFound, `there is no host "node-x"`, "coordinator status lists the hosts"},
		"events of a host that is not there": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.ListEvents(ctx, &operatorv1.ListEventsRequest{Host: "node-x"})
			return err
		}, codes.NotFound, `there is no host "node-x"`, "coordinator status lists the hosts"},
		"a host that has its role": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.AssignHost(ctx, &operatorv1.AssignHostRequest{Host: string(h.id), Role: "master"})
			return err
		}, codes.FailedPrecondition, "already has the role agent", "remove it"},
		"a host that has not failed": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.RetryHost(ctx, &operatorv1.RetryHostRequest{Host: string(h.id)})
			return err
		}, codes.FailedPrecondition, "is assigned", "only a failed host"},
		"a removal of nothing": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.RemoveHost(ctx, &operatorv1.RemoveHostRequest{})
			return err
		}, codes.NotFound, "there is no host", "coordinator status"},
		"a role that is not there": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.CreateToken(ctx, &operatorv1.CreateTokenRequest{Role: "mister"})
			return err
		}, codes.InvalidArgument, `there is no role "mister"`, "choose one of"},
		"a shared token for a counted role": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.CreateSeed(ctx, &operatorv1.CreateSeedRequest{Token: &operatorv1.CreateTokenRequest{Role: "master", Uses: 2}})
			return err
		}, codes.InvalidArgument, "a token of 2 uses", "allow_shared_tokens"},
		"a network that is none": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.CreateToken(ctx, &operatorv1.CreateTokenRequest{Cidrs: []string{"10.0.0.0"}})
			return err
		}, codes.InvalidArgument, `"10.0.0.0" is not a network`, "address/bits"},
		"a network with host bits": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.CreateToken(ctx, &operatorv1.CreateTokenRequest{Cidrs: []string{"10.0.0.1/8"}})
			return err
		}, codes.InvalidArgument, "write 10.0.0.0/8", "token create --help"},
		"a token that is not there": {func(ctx context.Context, o operatorv1.OperatorServiceClient) error {
			_, err := o.RevokeToken(ctx, &operatorv1.RevokeTokenRequest{Id: "x"})
			return err
		}, codes.NotFound, `there is no token "x"`, "coordinator token list"},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.state()
			err := c.call(t.Context(), s.operator)
			wantCode(t, err, c.code, c.text)
			if !strings.Contains(remedy(err), c.remedy) {
				t.Errorf("the remedy is %q, want %q", remedy(err), c.remedy)
			}
			s.wantState(before)
		})
	}
}

func TestASeedOfTheOperatorsLetsAHostJoin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	resp, err := s.operator.CreateSeed(t.Context(), &operatorv1.CreateSeedRequest{Token: &operatorv1.CreateTokenRequest{Role: "master"}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := seed.Parse(resp.Seed)
	if err != nil {
		t.Fatal(err)
	}
	h := s.enrol(1, made.Token.Reveal())
	got, err := s.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: string(h.id)})
	if err != nil || got.Host.JoinedBy != resp.TokenId || got.Host.Role != "master" {
		t.Errorf("%v, %v", got, err)
	}
}

// However much a host reports, an operator can look at it: a gRPC client refuses answers above 4 MiB.
func TestAHostWithTheLongestReportsCanBeShown(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	long := strings.Repeat("x", 8192)
	for sequence := uint64(1); sequence <= 512; {
		r := &syncv1.SyncRequest{}
		for range 64 {
			r.Reports = append(r.Reports, &syncv1.Report{Sequence: sequence, Attempt: 1, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{
				Name: "unpack", Message: long[:1024], Detail: long, Remedy: long[:1024],
			}}})
			sequence++
		}
		if _, err := h.sync(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: string(h.id)})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Reports); n < 100 || got.Reports[n-1].Sequence != 512 {
		t.Errorf("%d reports", n)
	}
}

func TestTheListGoesOnWhereThePageEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("agent", 30)
	for n := range 30 {
		s.enrol(n, token)
	}
	for n := range 5 {
		if _, err := s.operator.RecordPush(t.Context(), &operatorv1.RecordPushRequest{Target: fmt.Sprint("web-", n), ErrorClass: "refused", Message: "connection refused"}); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	pages := 0
	for token := ""; pages == 0 || token != ""; pages++ {
		page, err := s.operator.ListHosts(t.Context(), &operatorv1.ListHostsRequest{PageSize: 10, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range page.Hosts {
			seen[h.Id] = true
		}
		token = page.NextPageToken
	}
	if len(seen) != 35 || pages != 4 {
		t.Errorf("%d rows on %d pages", len(seen), pages)
	}
	state, err := s.operator.GetCluster(t.Context(), &operatorv1.GetClusterRequest{})
	if err != nil || state.Hosts != 30 || state.Phases["assigned"] != 30 || len(state.Roles) != 3 {
		t.Errorf("%v, %v", state, err)
	}
}

// Not parallel: it counts goroutines.
func TestWatchesShowChangesAndLeaveNothing(t *testing.T) {
	s := newSite(t)
	token := s.token("agent", 10)
	s.enrol(9, token).conn.Close()
	s.closeAll()
	before := numGoroutines()
	ctx, cancel := context.WithCancel(t.Context())
	conn := dial(t, "unix:"+s.socket, insecure.NewCredentials())
	var watches []operatorv1.OperatorService_WatchHostsClient
	for range 20 {
		w, err := operatorv1.NewOperatorServiceClient(conn).WatchHosts(ctx, &operatorv1.WatchHostsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if first, err := w.Recv(); err != nil || len(first.Hosts) != 1 || !first.Complete {
			t.Fatal(first, err)
		}
		watches = append(watches, w)
	}
	h := s.enrol(1, token)
	h.conn.Close()
	for _, w := range watches {
		if next, err := w.Recv(); err != nil || len(next.Hosts) != 1 || next.Hosts[0].Id != string(h.id) {
			t.Errorf("%v, %v", next, err)
		}
	}
	if _, err := s.operator.RemoveHost(ctx, &operatorv1.RemoveHostRequest{Host: string(h.id)}); err != nil {
		t.Fatal(err)
	}
	for _, w := range watches {
		if next, err := w.Recv(); err != nil || len(next.Removed) != 1 || next.Removed[0] != string(h.id) {
			t.Errorf("%v, %v", next, err)
		}
	}
	cancel()
	for _, w := range watches {
		if _, err := w.Recv(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	_ = conn.Close()
	s.closeAll()
	wantNoGoroutines(t, before)
}

// Not parallel: it counts goroutines.
func TestHeldBackAnswersLeaveNothing(t *testing.T) {
	s := newSite(t)
	h := s.join("agent", 1)
	d := h.says(syncv1.Phase_PHASE_PREFLIGHT)
	s.closeAll()
	h.conn.Close()
	before := numGoroutines()
	again := s.host(h.id, h.cert.Certificate, h.cert.PrivateKey.(*ecdsa.PrivateKey))
	var waiting []<-chan answer
	for range 10 {
		waiting = append(waiting, again.waits(d.Id))
	}
	if _, err := again.sync(&syncv1.SyncRequest{}); err != nil {
		t.Fatal(err)
	}
	again.conn.Close()
	for _, w := range waiting {
		wantCode(t, soon(t, w).err, codes.Canceled, "")
	}
	wantNoGoroutines(t, before)
}
