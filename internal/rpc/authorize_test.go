package rpc_test

import (
	"context"
	"crypto/tls"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"muster/internal/identity"
	"muster/internal/rpc"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// Each caller calls each method through each door with an empty message. What is not the caller's is denied before
// anything looks at the message, and what is, is not.
func TestEveryMethodIsForWhomTheTableSaysAndForNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	callers := map[rpc.Identity]*grpc.ClientConn{
		rpc.Anyone:   s.connect(nil),
		rpc.HostCert: h.conn,
		rpc.Operator: dial(t, "unix:"+s.socket, insecure.NewCredentials()),
	}
	atHostsDoor := map[string]bool{
		enrolmentv1.EnrolmentService_Enroll_FullMethodName: true,
		syncv1.SyncService_Sync_FullMethodName:             true,
		syncv1.SyncService_Renew_FullMethodName:            true,
	}
	methods := slices.Sorted(maps.Keys(rpc.Table))
	methods = append(methods, "/muster.sync.v1.SyncService/Nothing", "/muster.none.v1.NoService/Nothing", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
	for _, method := range methods {
		for caller, conn := range callers {
			before := s.state()
			ctx, cancel := context.WithCancel(t.Context())
			code := status.Code(call(ctx, conn, method))
			cancel()
			want := rpc.Table[method]
			if want == caller || want == rpc.Anyone && caller != rpc.Operator {
				if code == codes.PermissionDenied || code == codes.Unauthenticated || code == codes.Unimplemented {
					t.Errorf("%s for %s: %v", method, caller, code)
				}
				continue
			}
			s.wantState(before)
			switch {
			case want == "" || atHostsDoor[method] == (caller == rpc.Operator):
				// That door does not have the method at all.
				if code != codes.Unimplemented {
					t.Errorf("%s for %s: %v, want Unimplemented", method, caller, code)
				}
			case caller == rpc.Anyone:
				if code != codes.Unauthenticated {
					t.Errorf("%s for %s: %v, want Unauthenticated", method, caller, code)
				}
			default:
				t.Errorf("%s for %s: %v, and no rule says so", method, caller, code)
			}
		}
	}
}

// call sends one empty message as a stream does, which serves unary methods too.
func call(ctx context.Context, conn *grpc.ClientConn, method string) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(&emptypb.Empty{})
	_ = stream.CloseSend()
	return stream.RecvMsg(&emptypb.Empty{})
}

func TestTheTableHasEveryMethodOfTheProtocol(t *testing.T) {
	t.Parallel()
	count := 0
	for _, desc := range []grpc.ServiceDesc{enrolmentv1.EnrolmentService_ServiceDesc, syncv1.SyncService_ServiceDesc, operatorv1.OperatorService_ServiceDesc} {
		for _, m := range desc.Methods {
			count++
			if rpc.Table["/"+desc.ServiceName+"/"+m.MethodName] == "" {
				t.Errorf("%s/%s is not in the table", desc.ServiceName, m.MethodName)
			}
		}
		for _, m := range desc.Streams {
			count++
			if rpc.Table["/"+desc.ServiceName+"/"+m.StreamName] == "" {
				t.Errorf("%s/%s is not in the table", desc.ServiceName, m.StreamName)
			}
		}
	}
	if count != len(rpc.Table) {
		t.Errorf("%d methods, %d rows", count, len(rpc.Table))
	}
}

func TestAServerWithAMethodThatIsNotInTheTableDoesNotStart(t *testing.T) {
	t.Parallel()
	server := grpc.NewServer()
	syncv1.RegisterSyncServiceServer(server, syncv1.UnimplementedSyncServiceServer{})
	if err := rpc.Covered(server); err != nil {
		t.Error(err)
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "muster.backdoor.v1.Backdoor", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Shell"}},
		Streams: []grpc.StreamDesc{{StreamName: "Copy"}},
	}, struct{}{})
	err := rpc.Covered(server)
	if err == nil || !strings.Contains(err.Error(), "/muster.backdoor.v1.Backdoor/Copy /muster.backdoor.v1.Backdoor/Shell") {
		t.Errorf("%v", err)
	}
}

func TestWithoutACertificateThereIsNoSync(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client := syncv1.NewSyncServiceClient(s.connect(nil))
	_, err := client.Sync(t.Context(), &syncv1.SyncRequest{})
	wantCode(t, err, codes.Unauthenticated, "enrol first")
	_, err = client.Renew(t.Context(), &syncv1.RenewRequest{})
	wantCode(t, err, codes.Unauthenticated, "enrol first")
}

// The identity is in the certificate and nowhere else: there is no field in which a host could name another.
func TestAHostActsAsItselfOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.join("agent", 1), s.join("agent", 2)
	_, err := a.sync(&syncv1.SyncRequest{
		Reports: []*syncv1.Report{{Sequence: 9, PlanId: string(b.id), Attempt: 1}},
		Facts:   &syncv1.Facts{Name: "node-aac", Address: "10.0.0.2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.sync(&syncv1.SyncRequest{})
	if err != nil || resp.Acknowledged != 0 {
		t.Errorf("b's reports: %v, %v", resp, err)
	}
	for name, want := range map[string]*host{"node-aab": a, "10.0.0.1": a, "node-aac": b, "10.0.0.2": b} {
		got, err := s.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: name})
		if err != nil || got.Host.Id != string(want.id) {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
	s.wantEvent("address-changed", `now says "10.0.0.2"`)
	// With b's certificate and a key of its own, a is nobody.
	forged := s.connect(&tls.Certificate{Certificate: b.cert.Certificate, PrivateKey: a.cert.PrivateKey})
	_, err = syncv1.NewSyncServiceClient(forged).Sync(t.Context(), &syncv1.SyncRequest{})
	wantCode(t, err, codes.Unavailable, "")
}

func TestACertificateThatIsNotAHostsIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	s, other := newSite(t), newSite(t)
	foreign := other.join("agent", 1).cert
	server, err := s.ca.ServerCertificate([]string{"127.0.0.1"}, start)
	if err != nil {
		t.Fatal(err)
	}
	before := s.state()
	for name, cert := range map[string]*tls.Certificate{"of a CA of the same name": foreign, "of a server of this cluster": &server} {
		_, err := syncv1.NewSyncServiceClient(s.connect(cert)).Sync(t.Context(), &syncv1.SyncRequest{})
		if code := status.Code(err); code != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		// Nor does it serve to enrol.
		d, err := enrolmentv1.NewEnrolmentServiceClient(s.connect(cert)).Enroll(t.Context())
		if err == nil {
			_, err = d.Recv()
		}
		if code := status.Code(err); code != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.wantState(before)
}

func TestACertificateThatThisCoordinatorDoesNotKnowIsDenied(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := newKey(t)
	csr, err := identity.CheckCSR(newCSR(t, key))
	if err != nil {
		t.Fatal(err)
	}
	chain, _, _, err := s.ca.IssueHost(csr, "h-aaaaaaaaaaaaa", start, identity.HostTTL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.host("h-aaaaaaaaaaaaa", chain, key).sync(&syncv1.SyncRequest{})
	wantCode(t, err, codes.PermissionDenied, "is not known")
	if remedy(err) == "" {
		t.Error("no remedy")
	}
}
