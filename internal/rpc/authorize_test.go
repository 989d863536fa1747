package rpc_test

import (
	"context"
	"crypto/tls"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"muster/internal/coordinator"
	"muster/internal/identity"
	"muster/internal/rpc"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// someone is a caller of the test: how it connects, and what is expected of it whatever the table says of methods.
type someone struct {
	is   rpc.Identity // what it is held against the table as
	conn *grpc.ClientConn
	// cert is of those who get but little on one connection, and come anew for each call.
	cert *tls.Certificate
	// shut is the answer to everything but what is for anyone; everything, when the connection itself is refused.
	shut  codes.Code
	event string // the kind that a refusal leaves
	actor string // in that event
}

// everybody is one of each kind that there is.
func everybody(s *site) map[string]someone {
	s.Helper()
	removed := s.join("agent", 1)
	if _, err := s.operator.RemoveHost(context.Background(), &operatorv1.RemoveHostRequest{Host: string(removed.id)}); err != nil {
		s.Fatal(err)
	}
	host := s.join("agent", 2)
	revoked := s.operate("rita", coordinator.Admin, time.Hour)
	if _, err := s.operator.RevokeOperator(context.Background(), &operatorv1.RevokeOperatorRequest{Name: "rita"}); err != nil {
		s.Fatal(err)
	}
	alive := s.connect(s.operate("eve", coordinator.Admin, time.Minute))
	if _, err := operatorv1.NewOperatorServiceClient(alive).GetCluster(context.Background(), &operatorv1.GetClusterRequest{}); err != nil {
		s.Fatal(err)
	}
	expired := s.operate("ed", coordinator.Admin, time.Minute)
	viewer, operator, admin := s.operate("vera", coordinator.Viewer, time.Hour), s.operate("otto", coordinator.Operator, time.Hour), s.operate("ada", coordinator.Admin, time.Hour)
	s.advance(2 * time.Minute)
	all := map[string]someone{
		"nobody":                                  {is: rpc.Anyone, conn: s.connect(nil), event: "call-denied"},
		"a host":                                  {is: rpc.HostCert, conn: host.conn, event: "call-denied", actor: "host " + string(host.id)},
		"a removed host":                          {cert: removed.cert, shut: codes.PermissionDenied, event: "host-denied"},
		"a host of another CA":                    {conn: s.connect(newSite(s).join("agent", 1).cert), shut: codes.Unavailable, event: "certificate-refused"},
		"a host's key with a forged name":         {cert: s.forged("hosts-ca", "muster://demo/operator/ada"), shut: codes.PermissionDenied, event: "certificate-refused"},
		"an operator's key with a host's name":    {cert: s.forged("operators-ca", "muster://demo/host/"+string(host.id)), shut: codes.PermissionDenied, event: "certificate-refused"},
		"an operator that was never made":         {cert: s.forged("operators-ca", "muster://demo/operator/mallory"), shut: codes.PermissionDenied, event: "operator-denied", actor: "operator mallory"},
		"an operator's name again":                {cert: s.forged("operators-ca", "muster://demo/operator/ada"), shut: codes.PermissionDenied, event: "operator-denied", actor: "operator ada"},
		"a viewer":                                {is: rpc.Viewer, conn: s.connect(viewer), event: "call-denied", actor: "operator vera (viewer)"},
		"an operator":                             {is: rpc.Operator, conn: s.connect(operator), event: "call-denied", actor: "operator otto (operator)"},
		"an admin":                                {is: rpc.Admin, conn: s.connect(admin), event: "call-denied", actor: "operator ada (admin)"},
		"a revoked admin":                         {cert: revoked, shut: codes.PermissionDenied, event: "operator-denied", actor: "operator rita"},
		"an expired admin":                        {conn: s.connect(expired), shut: codes.Unavailable, event: "certificate-refused"},
		"an expired admin on a living connection": {conn: alive, shut: codes.PermissionDenied, event: "operator-denied", actor: "operator eve"},
		"root on the socket":                      {is: rpc.Admin, conn: dial(s, "unix:"+s.socket, insecure.NewCredentials())},
	}
	if os.Getuid() == 0 {
		for path := s.socket; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o777); err != nil {
				s.Fatal(err)
			}
		}
		all["another user on the socket"] = someone{is: rpc.Anyone, conn: dialThrough(s, connectAs(s, 65534, s.socket)), event: "call-denied", actor: "uid 65534"}
	}
	return all
}

// Each caller calls each method over a real connection with an empty message. What is not the caller's is denied before
// anything looks at the message, leaves an event and changes nothing; what is, is not.
func TestEveryMethodIsForWhomTheTableSaysAndForNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	callers := everybody(s)
	methods := slices.Sorted(maps.Keys(rpc.Table))
	methods = append(methods, "/muster.sync.v1.SyncService/Nothing", "/muster.none.v1.NoService/Nothing", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
	for _, method := range methods {
		for _, name := range slices.Sorted(maps.Keys(callers)) {
			who := callers[name]
			rule, known := rpc.Table[method]
			onSocket := strings.HasSuffix(name, "on the socket")
			before := s.state()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			conn := who.conn
			if name == "nobody" || who.cert != nil { // who gets but little on one connection
				conn = s.connect(who.cert)
			}
			code := status.Code(call(ctx, conn, method))
			cancel()
			switch {
			case who.shut == codes.Unavailable && code == codes.Unavailable:
				s.wantRefusal(who, "")
			case !known || onSocket && !strings.Contains(method, "OperatorService"):
				if code != codes.Unimplemented {
					t.Errorf("%s for %s: %v, want Unimplemented: that door does not have it", method, name, code)
				}
			case rule.For == rpc.Anyone || who.shut == codes.OK && allowed(rule.For, who.is):
				if code == codes.PermissionDenied || code == codes.Unauthenticated || code == codes.Unimplemented {
					t.Errorf("%s for %s: %v, and the table allows it", method, name, code)
				}
				continue // it may change something
			case who.shut != codes.OK:
				if code != who.shut {
					t.Errorf("%s for %s: %v, want %v", method, name, code, who.shut)
				}
				s.wantRefusal(who, "")
			default:
				want := codes.PermissionDenied
				if name == "nobody" {
					want = codes.Unauthenticated
				}
				if code != want {
					t.Errorf("%s for %s: %v, want %v", method, name, code, want)
				}
				s.wantRefusal(who, path.Base(method)+": ")
			}
			s.wantState(before)
		}
	}
}

// allowed is the meaning of the table, said a second time.
func allowed(rule, is rpc.Identity) bool {
	switch rule {
	case rpc.HostCert:
		return is == rpc.HostCert
	case rpc.Viewer:
		return is == rpc.Viewer || is == rpc.Operator || is == rpc.Admin
	case rpc.Operator:
		return is == rpc.Operator || is == rpc.Admin
	case rpc.Admin:
		return is == rpc.Admin
	}
	return false
}

// wantRefusal wants an event that says who was refused what, and from where.
func (s *site) wantRefusal(who someone, begin string) {
	s.Helper()
	from := "127.0.0.1"
	if strings.HasPrefix(who.actor, "uid") {
		from = "unix socket"
	}
	// What ends a handshake is written down after the other side has been told.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		events, err := s.core.Events(context.Background(), coordinator.EventFilter{Kind: who.event, Actor: who.actor}, 10_000)
		if err != nil {
			s.Fatal(err)
		}
		if slices.ContainsFunc(events, func(e coordinator.Event) bool {
			return strings.HasPrefix(e.Message, begin) && e.Message != "" && e.From == from
		}) {
			return
		}
		if time.Now().After(deadline) {
			s.Errorf("no event %s by %q from %s that begins with %q", who.event, who.actor, from, begin)
			return
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
			if rpc.Table["/"+desc.ServiceName+"/"+m.MethodName].For == "" {
				t.Errorf("%s/%s is not in the table", desc.ServiceName, m.MethodName)
			}
		}
		for _, m := range desc.Streams {
			count++
			if rpc.Table["/"+desc.ServiceName+"/"+m.StreamName].For == "" {
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
