package rpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"muster/internal/proof"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestAHostEnrolsAndSyncs(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	resp, err := h.sync(&syncv1.SyncRequest{})
	if err != nil || resp.Directive.GetPreflight().GetRole() != "agent" {
		t.Errorf("%v, %v", resp, err)
	}
	h.wantEvent("enrolled", "node-aab joined by token ")
	if id, err := proof.HostFromCertificate(h.cert.Leaf, cluster); err != nil || id != h.id {
		t.Errorf("%s, %v", id, err)
	}
}

// What a host sends in another order, of another connection or more than once is never a proof.
func TestADialogueThatIsNotOneIsEnded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		talk func(s *site, d *dialogue, token string)
		code codes.Code
		text string
	}{
		"a proof before hello": {func(_ *site, d *dialogue, token string) {
			d.say(d.proof(1, token, make([]byte, proof.ExporterLength)))
		}, codes.InvalidArgument, "hello, then proof"},
		"two hellos": {func(_ *site, d *dialogue, _ string) {
			d.challenged().say(d.hello())
		}, codes.InvalidArgument, "hello, then proof"},
		"an empty message": {func(_ *site, d *dialogue, _ string) {
			d.say(&enrolmentv1.EnrollRequest{})
		}, codes.InvalidArgument, "hello, then proof"},
		"an empty message for a proof": {func(_ *site, d *dialogue, _ string) {
			d.challenged().say(&enrolmentv1.EnrollRequest{})
		}, codes.InvalidArgument, "hello, then proof"},
		"another method": {func(_ *site, d *dialogue, _ string) {
			hello := d.hello()
			hello.GetHello().Method = "\x1b[2J" + strings.Repeat("x", 1000)
			d.say(hello)
		}, codes.InvalidArgument, "is not offered"},
		"a proof replayed on a second connection": {func(s *site, d *dialogue, token string) {
			first := begin(s, s.connect(nil)).challenged()
			stolen := first.proof(1, token, first.exporter())
			d.csr = first.csr
			d.challenged().say(stolen)
		}, codes.PermissionDenied, "the proof of possession does not fit"},
		"a proof replayed on the same connection": {func(s *site, d *dialogue, token string) {
			conn := s.connect(nil)
			first := begin(s, conn).challenged()
			stolen := first.proof(1, token, first.exporter())
			second := begin(s, conn)
			second.csr = first.csr
			second.challenged().say(stolen)
			d.stream = second.stream
		}, codes.PermissionDenied, "the proof of possession does not fit"},
		// A man in the middle can show the coordinator's challenge to the host, but not make the host's connection its own.
		"the exporter of another connection": {func(s *site, d *dialogue, token string) {
			d.challenged().say(d.proof(1, token, begin(s, s.connect(nil)).challenged().exporter()))
		}, codes.PermissionDenied, "the proof of possession does not fit"},
		"the key of another": {func(s *site, d *dialogue, token string) {
			d.challenged()
			d.key = newKey(s)
			d.say(d.proof(1, token, d.exporter()))
		}, codes.PermissionDenied, "the proof of possession does not fit"},
		"no signature": {func(_ *site, d *dialogue, token string) {
			p := d.challenged().proof(1, token, d.exporter())
			p.GetProof().Signature = nil
			d.say(p)
		}, codes.PermissionDenied, "the proof of possession does not fit"},
		"a request that is none": {func(_ *site, d *dialogue, _ string) {
			d.csr = []byte("-----BEGIN CERTIFICATE REQUEST-----")
			d.say(d.hello())
		}, codes.InvalidArgument, "it is not a PKCS#10 request in DER"},
		"an empty request": {func(_ *site, d *dialogue, _ string) {
			d.csr = nil
			d.say(d.hello())
		}, codes.InvalidArgument, "it is not a PKCS#10 request in DER"},
		"a request with a bad signature": {func(_ *site, d *dialogue, _ string) {
			d.csr[len(d.csr)-1] ^= 1
			d.say(d.hello())
		}, codes.InvalidArgument, "its signature is not by its key"},
		"a request with another kind of key": {func(s *site, d *dialogue, _ string) {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				s.Fatal(err)
			}
			d.csr = newCSR(s, key)
			d.say(d.hello())
		}, codes.InvalidArgument, "use an ECDSA key on P-256"},
		"a long request": {func(_ *site, d *dialogue, _ string) {
			d.csr = make([]byte, 9<<10)
			d.say(d.hello())
		}, codes.InvalidArgument, "at most 8192 are accepted"},
		"an address that no other host can reach": {func(_ *site, d *dialogue, token string) {
			p := d.challenged().proof(1, token, d.exporter())
			p.GetProof().HostAddress = "127.0.0.1"
			d.say(p)
		}, codes.InvalidArgument, "which no other host can reach"},
		"a token that is none": {func(_ *site, d *dialogue, _ string) {
			d.challenged().say(d.proof(1, "let me in", d.exporter()))
		}, codes.PermissionDenied, "the join token was refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			token := s.token("agent", 1)
			before := s.state()
			d := begin(t, s.connect(nil))
			c.talk(s, d, token)
			wantCode(t, d.ends().Err(), c.code, c.text)
			s.wantState(before)
			reason := c.text
			if c.text == "the join token was refused" {
				reason = "not a join token"
			}
			s.wantEvent("enrolment-denied", reason)
			s.enrol(2, token) // which is as good as before
		})
	}
}

func TestASecondProofIsNotRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := begin(t, s.connect(nil)).challenged()
	p := d.proof(1, s.token("agent", 2), d.exporter())
	d.say(p)
	d.say(p)
	if resp, err := d.stream.Recv(); err != nil || resp.GetCredential() == nil {
		t.Fatal(resp, err)
	}
	if _, err := d.stream.Recv(); err == nil {
		t.Error("the dialogue goes on")
	}
	tokens, err := s.operator.ListTokens(t.Context(), &operatorv1.ListTokensRequest{})
	if err != nil || tokens.Tokens[0].Uses != 1 {
		t.Errorf("%v, %v", tokens, err)
	}
}

func TestNothingOfARequestButItsKeyIsInTheCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := begin(t, s.connect(nil))
	foreign, err := url.Parse("muster://demo/host/h-aaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	d.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{Organization: []string{"admin"}, CommonName: "root"}, DNSNames: []string{"coordinator"}, URIs: []*url.URL{foreign},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}, // CA:TRUE
	}, d.key)
	if err != nil {
		t.Fatal(err)
	}
	d.challenged().say(d.proof(1, s.token("agent", 1), d.exporter()))
	resp, err := d.stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(resp.GetCredential().Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.IsCA || leaf.Subject.String() != "" || len(leaf.DNSNames) != 0 || len(leaf.URIs) != 1 || leaf.URIs[0].String() != "muster://demo/host/"+resp.GetCredential().HostId {
		t.Errorf("%v %v %v %v", leaf.IsCA, leaf.Subject, leaf.DNSNames, leaf.URIs)
	}
}

func TestATokensNetworkIsThatOfTheConnectionWhateverAHeaderSays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made, err := s.operator.CreateToken(t.Context(), &operatorv1.CreateTokenRequest{Role: "agent", Cidrs: []string{"10.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	before := s.state()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-forwarded-for", "10.0.0.1", "x-real-ip", "10.0.0.1", "forwarded", "for=10.0.0.1")
	stream, err := enrolmentv1.NewEnrolmentServiceClient(s.connect(nil)).Enroll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	d := &dialogue{TB: t, stream: stream, key: key, csr: newCSR(t, key)}
	d.challenged().say(d.proof(1, made.Token, d.exporter()))
	wantCode(t, d.ends().Err(), codes.PermissionDenied, "the join token was refused")
	s.wantState(before)
	s.wantEvent("enrolment-denied", "address outside the token's networks")
}

func TestALostAnswerCostsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("master", 1)
	key := newKey(t)
	var ids []string
	for range 2 {
		d := begin(t, s.connect(nil))
		d.key, d.csr = key, newCSR(t, key)
		d.challenged().say(d.proof(1, token, d.exporter()))
		resp, err := d.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, resp.GetCredential().HostId)
	}
	if ids[0] != ids[1] {
		t.Errorf("%v", ids)
	}
}
