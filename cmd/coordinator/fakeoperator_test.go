package main

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// fakeOperator is a coordinator's door for the CLI with a few hosts behind it.
type fakeOperator struct {
	operatorv1.UnimplementedOperatorServiceServer
	mu     sync.Mutex
	hosts  []*operatorv1.Host
	calls  []string
	tokens []*operatorv1.CreateTokenRequest
	listed []*operatorv1.Token
	// recorded are the labels of pushes by target.
	recorded map[string]map[string]string
	// stream feeds WatchHosts; nil ends it as a coordinator that goes away does, closing it refuses the caller.
	stream chan *operatorv1.WatchHostsResponse
}

// serveFake starts it where connect looks, and returns the state directory.
func serveFake(t *testing.T, f *fakeOperator) (state string) {
	t.Helper()
	state = t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(state, socketName))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	operatorv1.RegisterOperatorServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return state
}

// run runs the program with these arguments.
func run(ctx context.Context, t *testing.T, state, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	root := rootCommand()
	root.SetArgs(append(args, "--state", state))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

func mustRun(t *testing.T, state string, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := run(t.Context(), t, state, "", args...)
	if err != nil {
		t.Fatalf("coordinator %s: %v", strings.Join(args, " "), err)
	}
	return stdout, stderr
}

// refused runs arguments that are no use, and wants exit code 2 and these words.
func refused(t *testing.T, state, words string, args ...string) {
	t.Helper()
	_, _, err := run(t.Context(), t, state, "", args...)
	if code := exitCode(new(strings.Builder), err); code != exitInvalid || !strings.Contains(err.Error(), words) {
		t.Errorf("coordinator %s: %v (exit code %d); want %q and %d", strings.Join(args, " "), err, code, words, exitInvalid)
	}
}

func (f *fakeOperator) called(format ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, strings.Join(format, " "))
}

func (f *fakeOperator) find(name string) (*operatorv1.Host, error) {
	for _, h := range f.hosts {
		if h.Id == name || h.Name == name || h.Address == name {
			return h, nil
		}
	}
	st, err := status.New(codes.NotFound, "there is no host "+name).WithDetails(&errdetails.Help{Links: []*errdetails.Help_Link{{Description: "coordinator status lists them"}}})
	if err != nil {
		return nil, err
	}
	return nil, st.Err()
}

func (f *fakeOperator) GetCluster(context.Context, *operatorv1.GetClusterRequest) (*operatorv1.GetClusterResponse, error) {
	return &operatorv1.GetClusterResponse{
		Name: "demo", ConfigId: "1a2b3c4d5e6f7081", BundleName: "etcd", BundleVersion: "3.6.1", Now: timestamppb.Now(),
		Roles: []*operatorv1.RoleState{{Role: "master", Counted: 3}, {Role: "agent"}},
	}, nil
}

// ListHosts answers with pages of two, whatever was asked for.
func (f *fakeOperator) ListHosts(_ context.Context, req *operatorv1.ListHostsRequest) (*operatorv1.ListHostsResponse, error) {
	from, _ := strconv.Atoi(req.PageToken)
	to := min(from+2, len(f.hosts))
	resp := &operatorv1.ListHostsResponse{Hosts: f.hosts[from:to]}
	if to < len(f.hosts) {
		resp.NextPageToken = strconv.Itoa(to)
	}
	return resp, nil
}

func (f *fakeOperator) GetHost(_ context.Context, req *operatorv1.GetHostRequest) (*operatorv1.GetHostResponse, error) {
	h, err := f.find(req.Host)
	return &operatorv1.GetHostResponse{Host: h}, err
}

func (f *fakeOperator) WatchHosts(_ *operatorv1.WatchHostsRequest, stream grpc.ServerStreamingServer[operatorv1.WatchHostsResponse]) error {
	for {
		select {
		case resp, ok := <-f.stream:
			if !ok {
				return status.Error(codes.PermissionDenied, "that is enough")
			}
			if resp == nil {
				return status.Error(codes.Unavailable, "going away")
			}
			if err := stream.Send(resp); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (f *fakeOperator) ListEvents(_ context.Context, req *operatorv1.ListEventsRequest) (*operatorv1.ListEventsResponse, error) {
	f.called("events", req.Host, strconv.Itoa(int(req.Limit)))
	return &operatorv1.ListEventsResponse{Events: []*operatorv1.Event{
		{Time: timestamppb.Now(), Kind: "enrolled", HostId: "h-1", Message: "host1\n\x1b[2Jjoined"}, {Time: timestamppb.Now(), Kind: "done", HostId: "h-1"},
	}}, nil
}

func (f *fakeOperator) CreateToken(_ context.Context, req *operatorv1.CreateTokenRequest) (*operatorv1.CreateTokenResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = append(f.tokens, req)
	return &operatorv1.CreateTokenResponse{Token: "the.secret", Record: &operatorv1.Token{
		Id: "tk-1", Role: req.Role, MaxUses: req.Uses, Cidrs: req.Cidrs, Expires: timestamppb.New(time.Now().Add(req.Ttl.AsDuration())),
	}}, nil
}

func (f *fakeOperator) ListTokens(context.Context, *operatorv1.ListTokensRequest) (*operatorv1.ListTokensResponse, error) {
	if f.listed != nil {
		return &operatorv1.ListTokensResponse{Tokens: f.listed}, nil
	}
	return &operatorv1.ListTokensResponse{Tokens: []*operatorv1.Token{{Id: "tk-1", Role: "agent", MaxUses: 5}}}, nil
}

func (f *fakeOperator) RevokeToken(_ context.Context, req *operatorv1.RevokeTokenRequest) (*operatorv1.RevokeTokenResponse, error) {
	f.called("revoke", req.Id)
	return &operatorv1.RevokeTokenResponse{}, nil
}

func (f *fakeOperator) AssignHost(_ context.Context, req *operatorv1.AssignHostRequest) (*operatorv1.AssignHostResponse, error) {
	f.called("assign", req.Host, req.Role)
	h, err := f.find(req.Host)
	if err != nil {
		return nil, err
	}
	h.Role = req.Role
	return &operatorv1.AssignHostResponse{Host: h}, nil
}

func (f *fakeOperator) RetryHost(_ context.Context, req *operatorv1.RetryHostRequest) (*operatorv1.RetryHostResponse, error) {
	f.called("retry", req.Host)
	h, err := f.find(req.Host)
	if err != nil {
		return nil, err
	}
	if h.Phase != syncv1.Phase_PHASE_FAILED {
		return nil, status.Error(codes.FailedPrecondition, "host "+h.Name+" has not failed")
	}
	h.Attempt++
	return &operatorv1.RetryHostResponse{Host: h}, nil
}

func (f *fakeOperator) ReplaceHost(_ context.Context, req *operatorv1.ReplaceHostRequest) (*operatorv1.ReplaceHostResponse, error) {
	f.called("replace", req.Host, req.By)
	was, err := f.find(req.Host)
	if err != nil {
		return nil, err
	}
	if req.By == "" {
		return nil, status.Error(codes.FailedPrecondition, "no spare waits for a place in role "+was.Role)
	}
	by, err := f.find(req.By)
	if err != nil {
		return nil, err
	}
	by.Role, by.Index = was.Role, was.Index
	return &operatorv1.ReplaceHostResponse{Host: by, Left: was.Index == 1}, nil
}

func (f *fakeOperator) RemoveHost(_ context.Context, req *operatorv1.RemoveHostRequest) (*operatorv1.RemoveHostResponse, error) {
	f.called("remove", req.Host)
	_, err := f.find(req.Host)
	return &operatorv1.RemoveHostResponse{}, err
}

// fiveHosts are one waiting, two done, one failed and a push that failed.
func fiveHosts() *fakeOperator {
	host := func(n, role string, phase syncv1.Phase) *operatorv1.Host {
		return &operatorv1.Host{
			Id: "h-" + n, Name: "host" + n, Address: "10.0.0." + n, Role: role, Phase: phase, Attempt: 1,
			LastSeen: timestamppb.Now(), PhaseSince: timestamppb.Now(),
		}
	}
	failed := host("4", "agent", syncv1.Phase_PHASE_FAILED)
	failed.FailedStep, failed.Failure, failed.Remedy = "preflight", "port 2379 is taken", "stop etcd"
	return &fakeOperator{stream: make(chan *operatorv1.WatchHostsResponse), hosts: []*operatorv1.Host{
		{Id: "10.0.0.9", Name: "10.0.0.9", Push: "auth", FailedStep: "push", Failure: "refused", PhaseSince: timestamppb.Now()},
		host("1", "", syncv1.Phase_PHASE_ENROLLED), host("2", "master", syncv1.Phase_PHASE_DONE), host("3", "agent", syncv1.Phase_PHASE_DONE), failed,
	}}
}

func (f *fakeOperator) CreateSeed(_ context.Context, req *operatorv1.CreateSeedRequest) (*operatorv1.CreateSeedResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.Aws != nil {
		f.calls = append(f.calls, "seed for policy "+req.Aws.Policy+", role "+req.Aws.Role)
		return nil, status.Error(codes.InvalidArgument, "there are no policies")
	}
	if req.ExistingToken != "" {
		f.calls = append(f.calls, "seed for "+req.ExistingToken)
		return nil, status.Error(codes.InvalidArgument, "no host can join with this token: expired")
	}
	f.tokens = append(f.tokens, req.Token)
	return &operatorv1.CreateSeedResponse{Seed: []byte("seed of " + req.Token.Host), TokenId: "token of " + req.Token.Host}, nil
}

func (f *fakeOperator) ReadmitInstance(_ context.Context, req *operatorv1.ReadmitInstanceRequest) (*operatorv1.ReadmitInstanceResponse, error) {
	f.called("readmit " + req.Account + " " + req.Instance)
	return &operatorv1.ReadmitInstanceResponse{}, nil
}

func (f *fakeOperator) RecordPush(_ context.Context, req *operatorv1.RecordPushRequest) (*operatorv1.RecordPushResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recorded == nil {
		f.recorded = make(map[string]map[string]string)
	}
	f.recorded[req.Target] = req.Labels
	return &operatorv1.RecordPushResponse{}, nil
}
