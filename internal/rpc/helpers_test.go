package rpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/coordinator"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/proof"
	"muster/internal/rpc"
	"muster/internal/store"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

const cluster = "demo"

var start = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// site is a coordinator with both its doors open: TLS on the loopback interface and a Unix socket.
type site struct {
	testing.TB
	core     *coordinator.Service
	ca       *identity.CA
	caDir    string
	store    store.Store
	address  string
	read     atomic.Int64 // bytes that the hosts' door has taken from the network
	socket   string
	operator operatorv1.OperatorServiceClient
	logged   lines
	slow     atomic.Int64 // how long each write of the store takes longer, in nanoseconds

	mu        sync.Mutex
	now       time.Time
	strangers []*grpc.ClientConn
}

func newSite(t testing.TB, change ...func(*coordinator.Options)) *site {
	t.Helper()
	s := &site{TB: t, now: start, socket: filepath.Join(t.TempDir(), "s")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	bolt, err := store.OpenBolt(filepath.Join(t.TempDir(), "store.db"))
	must(err)
	s.store = slowStore{bolt, &s.slow}
	s.caDir = filepath.Join(t.TempDir(), "ca")
	s.ca, err = identity.Create(s.caDir, cluster, start)
	must(err)
	digest := manifest.Digest(strings.Repeat("d", 64))
	blob := manifest.Blob{Digest: digest, Size: 1}
	rosterRefs := []manifest.Slot{{Ref: "Host.Name"}, {Ref: "Roster.master[0].Address"}, {Ref: "Roster.master[1].Address"}, {Ref: "Roster.master[2].Address"}}
	options := coordinator.Options{
		Store: s.store, CA: s.ca, Clock: s.clock, Log: slog.New(slog.NewTextHandler(&s.logged, nil)),
		Generation: &manifest.Generation{
			Format: manifest.Format, Cluster: cluster, ConfigID: manifest.ConfigID(strings.Repeat("c", 64)),
			Coordinator: manifest.Coordinator{Addresses: []string{"127.0.0.1"}, HTTPPort: 8080, GRPCPort: 8443},
			Roles:       []manifest.RoleEntry{{Name: "master", Count: 3, Manifest: blob}, {Name: "agent", Manifest: blob}, {Name: "public-agent", Manifest: blob}},
			Agents:      map[manifest.Arch]manifest.Blob{"amd64": blob},
		},
		Manifests: map[manifest.Role]*manifest.Manifest{
			"master": {}, "agent": {Late: manifest.LateTable{Slots: rosterRefs}}, "public-agent": {},
		},
	}
	for _, f := range change {
		f(&options)
	}
	s.core, err = coordinator.New(context.Background(), options)
	must(err)
	certs, err := s.ca.ServerCertificates([]string{"127.0.0.1"}, s.clock)
	must(err)
	door, err := rpc.NewHostServer(s.core, s.ca.ServerTLS(certs))
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	s.address = listener.Addr().String()
	operatorDoor, err := rpc.NewOperatorServer(s.core)
	must(err)
	operatorListener, err := rpc.ListenOperator(s.socket)
	must(err)
	go func() { _ = door.Serve(rpc.Bounded(counting{listener, &s.read}, 4096)) }()
	go func() { _ = operatorDoor.Serve(operatorListener) }()
	t.Cleanup(func() {
		door.Stop()
		operatorDoor.Stop()
		_ = s.store.Close()
	})
	s.operator = operatorv1.NewOperatorServiceClient(dial(t, "unix:"+s.socket, insecure.NewCredentials()))
	return s
}

// slowStore writes as a disk does that is busy.
type slowStore struct {
	store.Store
	by *atomic.Int64
}

func (s slowStore) Update(ctx context.Context, f func(store.Writer) error) error {
	time.Sleep(time.Duration(s.by.Load()))
	return s.Store.Update(ctx, f)
}

// lines counts those of a log.
type lines struct{ atomic.Int64 }

func (l *lines) Write(text []byte) (int, error) {
	l.Add(1)
	return len(text), nil
}

// counting counts what is read from the connections of a listener.
type counting struct {
	net.Listener
	read *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, l.read}, err
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func dial(t testing.TB, address string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// connect opens a connection to the hosts' door; cert is nil for a host that has none.
func (s *site) connect(cert *tls.Certificate) *grpc.ClientConn {
	s.Helper()
	config, err := proof.ClientTLS(s.ca.RootPEM(), cert, "127.0.0.1", s.clock)
	if err != nil {
		s.Fatal(err)
	}
	conn := dial(s, "passthrough:///"+s.address, credentials.NewTLS(config))
	s.mu.Lock()
	defer s.mu.Unlock()
	if cert == nil {
		s.strangers = append(s.strangers, conn)
	}
	return conn
}

// closeAll closes the connections that were opened without a certificate.
func (s *site) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.strangers {
		_ = conn.Close()
	}
}

func numGoroutines() int {
	// Those that end by themselves have ended.
	n := runtime.NumGoroutine()
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		n = min(n, runtime.NumGoroutine())
	}
	return n
}

func (s *site) token(role string, uses int32) string {
	s.Helper()
	resp, err := s.operator.CreateToken(context.Background(), &operatorv1.CreateTokenRequest{Role: role, Uses: uses})
	if err != nil {
		s.Fatal(err)
	}
	return resp.Token
}

// dialogue is one enrolment, word by word.
type dialogue struct {
	testing.TB
	stream enrolmentv1.EnrolmentService_EnrollClient
	key    *ecdsa.PrivateKey
	csr    []byte
	nonce  []byte
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := proof.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCSR(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	csr, err := proof.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// begin opens a stream and says nothing.
func begin(t testing.TB, conn *grpc.ClientConn) *dialogue {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	stream, err := enrolmentv1.NewEnrolmentServiceClient(conn).Enroll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	return &dialogue{TB: t, stream: stream, key: key, csr: newCSR(t, key)}
}

func (d *dialogue) say(r *enrolmentv1.EnrollRequest) {
	_ = d.stream.Send(r) // the reason of a failure comes with the answer
}

func (d *dialogue) hello() *enrolmentv1.EnrollRequest {
	return &enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Hello{Hello: &enrolmentv1.Hello{Csr: d.csr, Method: "token"}}}
}

// challenged says hello and keeps the challenge.
func (d *dialogue) challenged() *dialogue {
	d.Helper()
	d.say(d.hello())
	resp, err := d.stream.Recv()
	if err != nil {
		d.Fatal(err)
	}
	if d.nonce = resp.GetChallenge().GetNonce(); len(d.nonce) != proof.NonceSize {
		d.Fatalf("%v is no challenge", resp)
	}
	return d
}

// exporter is what binds a proof to this dialogue's connection.
func (d *dialogue) exporter() []byte {
	d.Helper()
	p, _ := peer.FromContext(d.stream.Context())
	info := p.AuthInfo.(credentials.TLSInfo)
	exporter, err := proof.Exporter(&info.State)
	if err != nil {
		d.Fatal(err)
	}
	return exporter
}

// proof is the right one for host number n, signed for the given connection.
func (d *dialogue) proof(n int, token string, exporter []byte) *enrolmentv1.EnrollRequest {
	d.Helper()
	signature, err := proof.Sign(d.key, proof.Transcript(d.nonce, exporter, d.csr, "token"))
	if err != nil {
		d.Fatal(err)
	}
	name, address := numbered(n)
	return &enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Proof{Proof: &enrolmentv1.Proof{
		Signature: signature, Token: token, HostName: name, HostAddress: address,
	}}}
}

// ends is the status that the server ends the dialogue with.
func (d *dialogue) ends() *status.Status {
	d.Helper()
	for {
		resp, err := d.stream.Recv()
		if err != nil {
			return status.Convert(err)
		}
		if resp.GetCredential() != nil {
			d.Error("it got a certificate")
		}
	}
}

func numbered(n int) (name, address string) {
	return "node-" + string('a'+rune(n/676%26)) + string('a'+rune(n/26%26)) + string('a'+rune(n%26)),
		net.IPv4(10, byte(n>>16), byte(n>>8), byte(n)).String()
}

// host is one that has joined and is connected with its certificate.
type host struct {
	*site
	id   hosts.ID
	cert *tls.Certificate
	conn *grpc.ClientConn
	syncv1.SyncServiceClient
}

// enrol is the whole dialogue on a connection of its own.
func (s *site) enrol(n int, token string) *host {
	s.Helper()
	conn := s.connect(nil)
	defer conn.Close()
	d := begin(s, conn).challenged()
	d.say(d.proof(n, token, d.exporter()))
	resp, err := d.stream.Recv()
	if err != nil {
		s.Fatal(err)
	}
	c := resp.GetCredential()
	return s.host(hosts.ID(c.GetHostId()), c.GetChain(), d.key)
}

func (s *site) host(id hosts.ID, chain [][]byte, key *ecdsa.PrivateKey) *host {
	s.Helper()
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		s.Fatal(err)
	}
	h := &host{site: s, id: id, cert: &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}}
	h.conn = s.connect(h.cert)
	h.SyncServiceClient = syncv1.NewSyncServiceClient(h.conn)
	return h
}

func (s *site) join(role string, n int) *host {
	s.Helper()
	return s.enrol(n, s.token(role, 1))
}

// sync is a call as the host; observe with phases of its first attempt.
func (h *host) sync(r *syncv1.SyncRequest) (*syncv1.SyncResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return h.Sync(ctx, r)
}

func (h *host) says(phases ...syncv1.Phase) *syncv1.Directive {
	h.Helper()
	var d *syncv1.Directive
	for _, p := range phases {
		resp, err := h.sync(&syncv1.SyncRequest{Observed: &syncv1.Observed{Phase: p, Attempt: 1}})
		if err != nil {
			h.Fatal(err)
		}
		d = resp.Directive
	}
	return d
}

// waits has a long-poll under way; its outcome comes on the channel.
func (h *host) waits(following string) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		resp, err := h.sync(&syncv1.SyncRequest{Following: following, Hold: durationpb.New(25 * time.Second)})
		c <- answer{resp, err}
	}()
	return c
}

type answer struct {
	*syncv1.SyncResponse
	err error
}

func soon[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// wantCode wants a status with this code and this text in it.
func wantCode(t testing.TB, err error, code codes.Code, text string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != code || !strings.Contains(st.Message(), text) {
		t.Errorf("got %v, want %v with %q", err, code, text)
	}
}

// remedy is what a status tells to do.
func remedy(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if help, ok := detail.(*errdetails.Help); ok && len(help.Links) == 1 {
			return help.Links[0].Description
		}
	}
	return ""
}

// wantEvent wants an event of the kind with this text in it.
func (s *site) wantEvent(kind, text string) {
	s.Helper()
	resp, err := s.operator.ListEvents(context.Background(), &operatorv1.ListEventsRequest{Limit: 10_000})
	if err != nil {
		s.Fatal(err)
	}
	if !slices.ContainsFunc(resp.Events, func(e *operatorv1.Event) bool { return e.Kind == kind && strings.Contains(e.Message, text) }) {
		s.Errorf("no event %s with %q: %v", kind, text, resp.Events)
	}
}

// state is everything in the store but the events.
func (s *site) state() map[string]string {
	s.Helper()
	state := make(map[string]string)
	if err := s.store.View(context.Background(), func(r store.Reader) error {
		return r.Scan("", "", func(key string, value []byte) (bool, error) {
			if !strings.HasPrefix(key, "events/") && !strings.HasPrefix(key, "notes/") {
				state[key] = string(value)
			}
			return true, nil
		})
	}); err != nil {
		s.Fatal(err)
	}
	return state
}

func (s *site) wantState(before map[string]string) {
	s.Helper()
	if after := s.state(); !maps.Equal(before, after) {
		s.Errorf("the state changed, from %d to %d records", len(before), len(after))
	}
}

// wantNoGoroutines waits until there are no more goroutines than before.
func wantNoGoroutines(t testing.TB, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
