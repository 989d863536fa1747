package rpc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// The cases of docs/security.md that need a crowd, over real connections.

func TestOfAHundredWithOneTokenOfOneUseOneJoins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("master", 1)
	var joined, denied atomic.Int32
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			resp, err := s.attempt(s.connect(nil), n, token)
			switch {
			case err == nil && resp.GetCredential() != nil:
				joined.Add(1)
			case status.Code(err) == codes.PermissionDenied && strings.Contains(err.Error(), "the join token was refused"):
				denied.Add(1)
			default:
				t.Error(resp, err)
			}
		})
	}
	all.Wait()
	if joined.Load() != 1 || denied.Load() != 99 {
		t.Errorf("%d joined, %d were denied", joined.Load(), denied.Load())
	}
	hosts, err := s.operator.ListHosts(t.Context(), &operatorv1.ListHostsRequest{})
	if err != nil || len(hosts.Hosts) != 1 {
		t.Errorf("%v, %v", hosts, err)
	}
	if record := s.tokenRecord(token); record.GetUses() != 1 {
		t.Errorf("the token is %v", record)
	}
	s.wantEvent("enrolled", "node-")
	s.wantEvent("enrolment-denied", "no uses left")
}

func (s *site) tokenRecord(token string) *operatorv1.Token {
	s.Helper()
	resp, err := s.operator.ListTokens(s.Context(), &operatorv1.ListTokensRequest{})
	if err != nil {
		s.Fatal(err)
	}
	for _, record := range resp.Tokens {
		if strings.HasPrefix(token, "mt1."+record.Id+".") {
			return record
		}
	}
	return nil
}

// Whoever guesses learns nothing, uses nothing up and locks nobody out.
func TestTokensThatAreNotGoodAreDeniedAlike(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := s.token("agent", 1)
	short, err := s.operator.CreateToken(t.Context(), &operatorv1.CreateTokenRequest{Role: "agent", Uses: 1, Ttl: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	s.advance(2 * time.Minute)
	wrong := []byte(good)
	wrong[20] = map[bool]byte{true: 'B', false: 'A'}[wrong[20] == 'A']
	before := s.state()
	message := ""
	deny := func(token string) {
		resp, err := s.attempt(s.connect(nil), 1, token)
		if code := status.Code(err); code != codes.PermissionDenied {
			t.Errorf("%v, %v", resp, err)
			return
		}
		got := status.Convert(err).Message() + remedy(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		if message == "" {
			message = got
		}
		if got != message {
			t.Errorf("told %q, another %q", got, message)
		}
	}
	for _, token := range []string{short.Token, "mt1.aaaaaaaaaaaa" + good[len("mt1.aaaaaaaaaaaa"):], "nonsense", ""} {
		deny(token)
	}
	var guesses atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for guesses.Add(1) <= 1000 {
				deny(string(wrong))
			}
		})
	}
	all.Wait()
	s.wantState(before)
	if n := s.logged.Load(); n > 20 {
		t.Errorf("a thousand guesses write %d lines into the log", n)
	}
	for _, why := range []string{"expired", "unknown token", "wrong secret", "not a join token"} {
		s.wantEvent("enrolment-denied", why)
	}
	s.enrol(1, good)
}

// Not parallel: it makes Go make weak keys.
func TestARequestWithAWeakKeyCostsNoToken(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	s := newSite(t)
	token := s.token("agent", 1)
	before := s.state()
	for _, bits := range []int{512, 2048} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		d := begin(t, s.connect(nil))
		if d.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSA}, key); err != nil {
			t.Fatal(err)
		}
		d.say(d.hello())
		wantCode(t, d.ends().Err(), codes.InvalidArgument, "an RSA key of")
	}
	s.wantState(before)
	s.wantEvent("enrolment-denied", "use an ECDSA key on P-256")
	s.enrol(1, token)
}

// What a host says is cut to a length when it comes in; it is one event however many lines it pretends to be.
func TestWhatAHostSaysIsShortAndOneEvent(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	hostile := "\x1b[2J\x1b]0;root\x07<script>alert(1)</script>\n03:00:00 admin removed host\r\n" + strings.Repeat("x", 50<<10)
	_, err := h.sync(&syncv1.SyncRequest{
		Observed: &syncv1.Observed{Phase: syncv1.Phase_PHASE_FAILED, Attempt: 1, Step: hostile, Waiting: hostile, PlanId: hostile},
		Facts:    &syncv1.Facts{Os: hostile, Kernel: hostile, Address: "10.0.0.1"},
		Reports: []*syncv1.Report{{Sequence: 1, Attempt: 1, PlanId: hostile, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{
			Name: hostile, Message: hostile, Remedy: hostile, Phase: syncv1.Phase_PHASE_PREFLIGHT,
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	events, err := h.operator.ListEvents(t.Context(), &operatorv1.ListEventsRequest{Host: string(h.id)})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Events {
		if len(e.Message) > 1024 || e.Kind == "removed" {
			t.Errorf("an event %s of %d bytes", e.Kind, len(e.Message))
		}
	}
	if len(events.Events) > 3 {
		t.Errorf("%d events of one message: %v", len(events.Events), events)
	}
	got, err := h.operator.GetHost(t.Context(), &operatorv1.GetHostRequest{Host: string(h.id)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.Reports {
		if step := r.GetStep(); len(step.GetName())+len(step.GetMessage())+len(step.GetRemedy()) > 3<<10 {
			t.Errorf("a report of %d bytes is kept", len(step.GetName())+len(step.GetMessage()))
		}
	}
}
