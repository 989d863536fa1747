//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"muster/internal/proof"
	"muster/internal/seed"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	_ "muster/proto/muster/operator/v1" // its methods are called by their descriptors
	syncv1 "muster/proto/muster/sync/v1"
)

// hostile is somebody who is root on a host that has joined: it has the host's key, certificate and seed from its disk.
type hostile struct {
	t    *testing.T
	id   string
	cert *tls.Certificate
	seed *seed.Seed
	conn *grpc.ClientConn
}

func (l *lab) turnHostile(t *testing.T, host int) *hostile {
	t.Helper()
	state := filepath.Join(l.root(host), "var/lib/bootstrap-agent")
	var identity struct {
		Key    []byte   `json:"key"`
		Chain  [][]byte `json:"chain"`
		HostID string   `json:"host_id"`
	}
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(state, "identity"))), &identity); err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseKey(identity.Key)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{t: t, id: identity.HostID, cert: &tls.Certificate{Certificate: identity.Chain, PrivateKey: key}}
	if h.seed, err = seed.Parse([]byte(readFile(t, filepath.Join(state, "seed")))); err != nil {
		t.Fatal(err)
	}
	l.mustSh(host, "systemctl stop bootstrap-agent")
	h.conn = h.connect(h.cert)
	return h
}

func (h *hostile) connect(cert *tls.Certificate) *grpc.ClientConn {
	h.t.Helper()
	config, err := proof.ClientTLS([]byte(h.seed.CA), cert, bridge, time.Now)
	if err != nil {
		h.t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+h.seed.Coordinators[0], grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithNoProxy())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call sends one message to a method of any kind and gives the first answer.
func (h *hostile) call(conn *grpc.ClientConn, method string, message proto.Message, answer proto.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(message)
	_ = stream.CloseSend()
	return stream.RecvMsg(answer)
}

// methods are those of every service of the protocol, as the programs have them.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "muster.") {
			return true
		}
		for s := range file.Services().Len() {
			service := file.Services().Get(s)
			for m := range service.Methods().Len() {
				all = append(all, service.Methods().Get(m))
			}
		}
		return true
	})
	return all
}

// filled says the same text wherever the message has room for one, and yes and many to the rest.
func filled(d protoreflect.MessageDescriptor, text string, depth int) *dynamicpb.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		value := func() (protoreflect.Value, bool) {
			switch field.Kind() {
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(text), true
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte(text)), true
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true), true
			case protoreflect.Int32Kind:
				return protoreflect.ValueOfInt32(7), true
			case protoreflect.Int64Kind:
				return protoreflect.ValueOfInt64(7), true
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(1), true
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(1), true
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(9), true
			case protoreflect.MessageKind:
				if depth > 0 {
					return protoreflect.ValueOfMessage(filled(field.Message(), text, depth-1)), true
				}
			}
			return protoreflect.Value{}, false
		}
		switch {
		case field.IsMap():
		case field.FullName() == "muster.sync.v1.SyncRequest.hold": // it would only wait
		case field.IsList():
			if v, ok := value(); ok {
				m.Mutable(field).List().Append(v)
			}
		default:
			if v, ok := value(); ok {
				m.Set(field, v)
			}
		}
	}
	return m
}

// A host that has joined, and is in bad hands, tries everything that another host or an operator may do: by every method of
// every service, in its own name, another's and an operator's, and around the methods. Nothing of it succeeds, all of it is
// in the events, and the other host and the cluster are as they were.
func TestAHostInBadHandsGetsNowhere(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 3))
	l.up(2)
	c.push("agent", 1)
	c.push("master", 2)
	c.untilPhase(1, "ready")
	c.untilPhase(2, "ready")
	victim, _ := c.status().at(2)
	h := l.turnHostile(t, 1)
	before := c.unchanging(2)

	denied := map[string]bool{}
	for _, method := range methods() {
		name := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
		service := string(method.Parent().Name())
		for _, text := range []string{"", victim.ID, victim.Name, victim.Address, h.id, "master", "admin"} {
			message := proto.Message(dynamicpb.NewMessage(method.Input()))
			if text != "" {
				message = filled(method.Input(), text, 4)
			}
			answer := dynamicpb.NewMessage(method.Output())
			err := h.call(h.conn, name, message, answer)
			switch service {
			case "OperatorService":
				if grpcstatus.Code(err) != codes.PermissionDenied {
					t.Errorf("%s with %q: %v, want PermissionDenied", method.Name(), text, err)
				}
				denied[string(method.Name())] = true
			case "EnrolmentService":
				if err == nil {
					t.Errorf("%s with %q is answered: %v", method.Name(), text, answer)
				}
			default: // the host's own: they may be answered, to itself
				if text, _ := proto.Marshal(answer); strings.Contains(string(text), victim.ID) {
					t.Errorf("%s tells of the other host: %v", method.Name(), answer)
				}
			}
		}
	}
	if len(denied) < 20 {
		t.Errorf("only %d methods of operators were tried", len(denied))
	}
	h.triesRenewals(victim.ID)
	h.triesReports(victim.ID)
	h.triesIdentities(l, victim.Address)
	h.triesFiles()

	events := c.must("events", "-n", "1000", "-o", "json")
	for name := range denied {
		if !strings.Contains(events, name+": ") {
			t.Errorf("no event says that %s was denied", name)
		}
	}
	for _, kind := range []string{"call-denied", "enrolment-denied"} {
		if !strings.Contains(events, kind) {
			t.Errorf("there is no event %s:\n%s", kind, events)
		}
	}
	if after := c.unchanging(2); after != before {
		t.Errorf("it has changed, from\n%s\nto\n%s", before, after)
	}
}

// unchanging is what no host may change: a host's own page but for the times, the cluster's rosters, tokens, operators,
// secrets and CA.
func (c *coordinator) unchanging(host int) string {
	c.t.Helper()
	h, _ := c.status().at(host)
	text := fmt.Sprintln(h.ID, h.Name, h.Address, h.Role, h.Index, h.Phase, h.Attempt, h.JoinedBy, h.Failure, h.ChecksOK, h.Enrolled, h.Facts)
	text += fmt.Sprintln(len(c.page(host).Reports), len(c.status().Hosts))
	for _, r := range c.status().Cluster.Roles {
		text += fmt.Sprintln(r.Role, r.Counted, r.Members)
	}
	for _, args := range [][]string{{"token", "list", "-o", "json"}, {"operator", "list", "-o", "json"}, {"secret", "list", "-o", "json"}} {
		text += c.must(args...)
	}
	return text
}

// triesRenewals asks for certificates: whatever is in the request, it gets its own name.
func (h *hostile) triesRenewals(victim string) {
	h.t.Helper()
	key, err := proof.NewKey()
	if err != nil {
		h.t.Fatal(err)
	}
	csr, err := proof.CSR(key)
	if err != nil {
		h.t.Fatal(err)
	}
	answer := new(syncv1.RenewResponse)
	if err := h.call(h.conn, syncv1.SyncService_Renew_FullMethodName, &syncv1.RenewRequest{Csr: csr}, answer); err != nil {
		h.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(answer.Chain[0])
	if err != nil {
		h.t.Fatal(err)
	}
	if id, err := proof.HostFromCertificate(leaf, h.seed.Cluster); err != nil || string(id) != h.id || leaf.IsCA {
		h.t.Errorf("it renewed to a certificate of %s (%v), CA %v", id, err, leaf.IsCA)
	}
}

// triesReports replays its reports, goes back in them and names the other host in them.
func (h *hostile) triesReports(victim string) {
	h.t.Helper()
	var acknowledged uint64
	for _, sequence := range []uint64{1, 1 << 20, 1} {
		answer := new(syncv1.SyncResponse)
		err := h.call(h.conn, syncv1.SyncService_Sync_FullMethodName, &syncv1.SyncRequest{
			Reports:  []*syncv1.Report{{Sequence: sequence, PlanId: victim, Attempt: 1}},
			Observed: &syncv1.Observed{Phase: syncv1.Phase_PHASE_DONE, PlanId: victim, Attempt: 1},
			Facts:    &syncv1.Facts{Name: victim, Labels: map[string]string{"role": "master"}},
		}, answer)
		if err != nil || answer.Acknowledged < acknowledged {
			h.t.Errorf("report %d: acknowledged %d after %d, %v", sequence, answer.GetAcknowledged(), acknowledged, err)
		}
		acknowledged = answer.GetAcknowledged()
		if role := answer.Directive.GetInstall().GetRole() + answer.Directive.GetPreflight().GetRole(); strings.Contains(role, "master") {
			h.t.Errorf("it is told to become %s", role)
		}
	}
}

// triesIdentities comes as the other host, as an operator and as a new host by the token that it has used.
func (h *hostile) triesIdentities(l *lab, address string) {
	h.t.Helper()
	other := struct {
		Chain [][]byte `json:"chain"`
	}{}
	if err := json.Unmarshal([]byte(readFile(h.t, filepath.Join(l.root(2), "var/lib/bootstrap-agent/identity"))), &other); err != nil {
		h.t.Fatal(err)
	}
	forged := h.connect(&tls.Certificate{Certificate: other.Chain, PrivateKey: h.cert.PrivateKey})
	if err := h.call(forged, syncv1.SyncService_Sync_FullMethodName, &syncv1.SyncRequest{}, new(syncv1.SyncResponse)); grpcstatus.Code(err) != codes.Unavailable {
		h.t.Errorf("with the other host's certificate and its own key: %v", err)
	}
	for _, claims := range []string{address, "10.77.0.99"} {
		if err := h.joinsAgain(claims); grpcstatus.Code(err) != codes.PermissionDenied {
			h.t.Errorf("a new host at %s by the spent token: %v", claims, err)
		}
	}
}

// joinsAgain is an enrolment with a fresh key and the token of the seed.
func (h *hostile) joinsAgain(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := enrolmentv1.NewEnrolmentServiceClient(h.connect(nil)).Enroll(ctx)
	if err != nil {
		return err
	}
	key, err := proof.NewKey()
	if err != nil {
		return err
	}
	csr, err := proof.CSR(key)
	if err != nil {
		return err
	}
	_ = stream.Send(&enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Hello{Hello: &enrolmentv1.Hello{Csr: csr, Method: "token"}}})
	challenge, err := stream.Recv()
	if err != nil {
		return err
	}
	exporter, err := exporterOf(stream.Context())
	if err != nil {
		return err
	}
	signature, err := proof.Sign(key, proof.Transcript(challenge.GetChallenge().GetNonce(), exporter, csr, "token"))
	if err != nil {
		return err
	}
	_ = stream.Send(&enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Proof{Proof: &enrolmentv1.Proof{
		Signature: signature, Token: h.seed.Token.Reveal(), HostName: "host2", HostAddress: address,
	}}})
	_, err = stream.Recv()
	return err
}

// triesFiles asks the artifacts' door for what is beside the artifacts.
func (h *hostile) triesFiles() {
	h.t.Helper()
	for _, path := range []string{"/", "/state/store.db", "/../store.db", "/blobs/../../store.db", "/blobs/../../ca/root.key", "/blobs/%2e%2e/%2e%2e/ca/root.key",
		"/ca/root.key", "/secrets.key", "/operator.sock", "/generation.json", "/blobs/", "/blobs/aa/", "/debug/pprof/", "/metrics"} {
		resp, err := http.Get(h.seed.Sources[0] + path)
		if err != nil {
			h.t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK && path != "/generation.json" {
			h.t.Errorf("%s is answered with %s: %.60q", path, resp.Status, text)
		}
		if strings.Contains(string(text), "PRIVATE KEY") {
			h.t.Errorf("%s is a key", path)
		}
	}
}

// exporterOf is what binds a proof to the connection of a call.
func exporterOf(ctx context.Context) ([]byte, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, fmt.Errorf("no peer")
	}
	info := p.AuthInfo.(credentials.TLSInfo)
	return proof.Exporter(&info.State)
}
