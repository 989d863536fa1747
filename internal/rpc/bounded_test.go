package rpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/coordinator"
	"muster/internal/proof"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestAStrangersConnectionIsForAFewStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("agent", 1)
	before := s.state()
	conn := s.connect(nil)
	client := enrolmentv1.NewEnrolmentServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var open []enrolmentv1.EnrolmentService_EnrollClient
	for range 5 {
		stream, err := client.Enroll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, stream)
	}
	for i, stream := range open {
		_, err := stream.Recv()
		if code := status.Code(err); code != codes.Unavailable && code != codes.ResourceExhausted {
			t.Errorf("stream %d: %v", i, err)
		}
	}
	s.wantState(before)
	s.wantEvent("limit-reached", "too many streams")
	s.enrol(1, token)
}

// A host that was cloned, or is hostile, has no more connections than one that comes back: the oldest goes.
func TestAHostHasAFewConnections(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	other := h.join("agent", 2)
	var waiting []<-chan answer
	key := h.cert.PrivateKey.(*ecdsa.PrivateKey)
	d := h.says(syncv1.Phase_PHASE_PREFLIGHT)
	waiting = append(waiting, h.waits(d.Id))
	elsewhere := other.waits(other.says(syncv1.Phase_PHASE_PREFLIGHT).Id)
	for range 3 {
		again := h.host(h.id, h.cert.Certificate, key)
		again.says(syncv1.Phase_PHASE_PREFLIGHT)
		waiting = append(waiting, again.waits(d.Id))
	}
	wantCode(t, soon(t, waiting[0]).err, codes.Unavailable, "")
	for _, c := range append(waiting[1:], elsewhere) {
		select {
		case a := <-c:
			t.Errorf("it ended: %v", a.err)
		default:
		}
	}
}

func TestWhoShowsAnEndedCertificateTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	before := h.cert
	key := newKey(t)
	resp, err := h.Renew(t.Context(), &syncv1.RenewRequest{Csr: newCSR(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	renewed := s.host(h.id, resp.Chain, key)
	waiting := renewed.waits(renewed.says(syncv1.Phase_PHASE_PREFLIGHT).Id)
	for range 6 { // twice as many as a host may have
		config, err := proof.ClientTLS(s.ca.RootPEM(), before, "127.0.0.1", s.clock)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", s.address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err != nil { // it is served, as a stranger
			t.Fatal(err)
		}
	}
	select {
	case a := <-waiting:
		t.Errorf("the host lost its connection: %v", a.err)
	case <-time.After(100 * time.Millisecond):
	}
	// A removed one and a revoked operator are bounded likewise: they can still say who they are, four times.
	otto := s.operate("otto", coordinator.Viewer, time.Hour)
	if _, err := s.operator.RevokeOperator(t.Context(), &operatorv1.RevokeOperatorRequest{Name: "otto"}); err != nil {
		t.Fatal(err)
	}
	client := s.as(otto)
	for range 4 {
		_, err := client.ListHosts(t.Context(), &operatorv1.ListHostsRequest{})
		wantCode(t, err, codes.PermissionDenied, "was revoked")
	}
	// The fifth ends the connection, which gRPC may notice or replace.
	if _, err := client.ListHosts(t.Context(), &operatorv1.ListHostsRequest{}); err == nil {
		t.Error("a revoked operator was answered")
	}
	s.wantEvent("limit-reached", "too many streams")
}

func TestAHostHasAFewCallsAtATime(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	other := h.join("agent", 2)
	d := h.says(syncv1.Phase_PHASE_PREFLIGHT)
	before := h.state()
	again := h.host(h.id, h.cert.Certificate, h.cert.PrivateKey.(*ecdsa.PrivateKey))
	var refused atomic.Int32
	var calls []<-chan answer
	for range 12 {
		calls = append(calls, h.waits(d.Id), again.waits(d.Id))
	}
	for deadline := time.Now().Add(10 * time.Second); refused.Load() < 8; time.Sleep(10 * time.Millisecond) {
		for _, c := range calls {
			select {
			case a := <-c:
				wantCode(t, a.err, codes.ResourceExhausted, "too many calls under way")
				refused.Add(1)
			default:
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 24 calls are refused, want 8", refused.Load())
		}
	}
	h.wantState(before)
	h.wantEvent("limit-reached", "too many calls at once")
	if _, err := other.sync(&syncv1.SyncRequest{}); err != nil {
		t.Errorf("another host: %v", err)
	}
}

// A flood by one token, leaked or guessed at, does not keep out those who come with another, and with a wrong secret not
// even those with the right one.
func TestAFloodByOneTokenStarvesNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	leaked, wanted := s.token("public-agent", 1<<20), s.token("agent", 3)
	guessed := wanted[:20] + map[bool]string{true: "B", false: "A"}[wanted[20] == 'A'] + wanted[21:]
	s.slow.Store(int64(700 * time.Millisecond)) // so that all of the flood is under way at once
	stop := make(chan struct{})
	var flood sync.WaitGroup
	var number, admitted, crowded, denied atomic.Int64
	for n := range 240 {
		token := leaked
		if n%10 == 0 {
			token = guessed
		}
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn := s.connect(nil)
				resp, err := s.attempt(conn, 100+int(number.Add(1)), token)
				_ = conn.Close()
				switch {
				case err == nil && resp.GetCredential() != nil && token == leaked:
					admitted.Add(1)
				case status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "too many hosts join"):
					crowded.Add(1)
				case status.Code(err) == codes.PermissionDenied && token == guessed:
					denied.Add(1)
				default:
					t.Error(resp, err)
				}
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); crowded.Load() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the flood is none")
		}
	}
	for n := range 3 {
		s.enrol(n, wanted)
	}
	close(stop)
	s.slow.Store(0)
	flood.Wait()
	if admitted.Load() < 64 || denied.Load() == 0 {
		t.Errorf("%d let in, %d told to wait, %d denied", admitted.Load(), crowded.Load(), denied.Load())
	}
	if record := s.tokenRecord(wanted); record.GetUses() != 3 {
		t.Errorf("the token that was guessed at is %v", record)
	}
	s.wantEvent("enrolment-denied", "wrong secret")
	s.wantEvent("enrolment-denied", "too many hosts join")
}

// attempt is a whole dialogue, however it ends.
func (s *site) attempt(conn *grpc.ClientConn, n int, token string) (*enrolmentv1.EnrollResponse, error) {
	d := begin(s, conn)
	d.say(d.hello())
	resp, err := d.stream.Recv()
	if err != nil {
		return nil, err
	}
	d.nonce = resp.GetChallenge().GetNonce()
	d.say(d.proof(n, token, d.exporter()))
	return d.stream.Recv()
}

// longHello is the beginning of a client's hello that is as long as TLS libraries take.
func longHello() []byte {
	hello := append([]byte{1, 0, 0xfa, 0}, make([]byte, 64_000)...)
	var records []byte
	for part := range slices.Chunk(hello, 4096) {
		records = append(append(records, 22, 3, 1, byte(len(part)>>8), byte(len(part))), part...)
	}
	return records
}

// What a handshake may take is bounded before anything is known of who is there.
func TestAHandshakeThatIsTooLongOrNoneIsEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.state()
	for name, sent := range map[string][]byte{
		"nonsense":                      []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a record that announces 16 MB": append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 64<<10)...),
		"a hello of 64,000 bytes":       longHello(),
	} {
		read := s.read.Load()
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(sent)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		var timeout net.Error
		if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: the connection is still open", name)
		}
		conn.Close()
		if n := s.read.Load() - read; n > 32<<10 {
			t.Errorf("%s: %d bytes were taken in", name, n)
		}
	}
	s.wantState(before)
}

// Whoever speaks an older TLS, or another protocol, is not spoken to.
func TestAnOlderTLSOrAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, config := range map[string]*tls.Config{
		"TLS 1.2":          {MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2"}},
		"another protocol": {NextProtos: []string{"http/1.1"}},
		"no protocol":      {},
	} {
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", s.address, config)
		if err != nil {
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		var timeout net.Error
		if text, err := io.ReadAll(conn); errors.As(err, &timeout) && timeout.Timeout() || len(text) > 0 {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		conn.Close()
	}
}
