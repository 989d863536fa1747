package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"muster/internal/durable"
	"muster/internal/hosts"
	"muster/internal/proof"
	"muster/internal/seed"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// identity is the host's key and its certificate, if it has one. The key is on disk before it is shown to anyone, so that
// a host whose answer was lost comes back as the same.
type identity struct {
	Key    []byte   `json:"key"` // PKCS#8 in PEM
	Chain  [][]byte `json:"chain,omitempty"`
	HostID hosts.ID `json:"host_id,omitempty"`

	// Accepted is set when the coordinator has answered to the certificate.
	Accepted bool `json:"accepted,omitempty"`

	// Told are the CA certificates that the coordinator has told this host to trust instead of its seed's.
	Told toldRoots `json:"told,omitzero"`

	key  *ecdsa.PrivateKey
	leaf *x509.Certificate
	// early is when the certificate is renewed before its time, because the coordinator asked for it; zero for not.
	early time.Time
	// refused is set when the certificate is good no more, but the key may be.
	refused bool
}

var errDamaged = errors.New("damaged")

func loadIdentity(l Layout) (*identity, error) {
	raw, err := os.ReadFile(l.key())
	if errors.Is(err, fs.ErrNotExist) {
		id := &identity{}
		return id, id.renewKey(l)
	}
	if err != nil {
		return nil, err
	}
	id := &identity{}
	err = json.Unmarshal(raw, id)
	if err == nil {
		err = id.parse()
	}
	if err != nil {
		return nil, fmt.Errorf("the identity %s is %w: %w", l.key(), errDamaged, err)
	}
	return id, nil
}

func (id *identity) renewKey(l Layout) error {
	key, err := proof.NewKey()
	if err != nil {
		return err
	}
	text, err := proof.MarshalKey(key)
	if err != nil {
		return err
	}
	*id = identity{Key: text, key: key, Told: id.Told}
	return id.save(l)
}

func (id *identity) parse() (err error) {
	if id.key, err = proof.ParseKey(id.Key); err != nil {
		return err
	}
	if len(id.Chain) > 0 {
		id.leaf, err = x509.ParseCertificate(id.Chain[0])
	}
	return err
}

func (id *identity) save(l Layout) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return durable.WriteFile(l.key(), raw, 0o600)
}

// valid says whether there is a certificate that is good for a while.
func (id *identity) valid(now time.Time) bool {
	return id.leaf != nil && now.Before(id.leaf.NotAfter.Add(-time.Minute))
}

// renewalDue is from 50 to 66 % of the certificate's life on, or when the coordinator asked for it. Where in between is
// drawn with the certificate, so that hosts that joined together do not renew together.
func (id *identity) renewalDue(now time.Time) bool {
	if !id.early.IsZero() && !time.Now().Before(id.early) {
		return true
	}
	life := id.leaf.NotAfter.Sub(id.leaf.NotBefore)
	var drawn byte
	if s := id.leaf.SerialNumber; s != nil && len(s.Bytes()) > 0 {
		drawn = s.Bytes()[0]
	}
	return now.After(id.leaf.NotBefore.Add(life/2 + life*16/100*time.Duration(drawn)/255))
}

// renewWithin takes note that the coordinator wants this certificate renewed early, at a moment of the host's choice.
func (id *identity) renewWithin(most time.Duration) {
	if most > 0 && id.early.IsZero() {
		id.early = time.Now().Add(rand.N(most))
	}
}

// holdUntilEarly is how long an answer may be held back: not beyond the moment of an early renewal.
func (id *identity) holdUntilEarly(most time.Duration) time.Duration {
	if id.early.IsZero() {
		return most
	}
	return min(most, max(time.Millisecond, time.Until(id.early)))
}

// accept notes that the coordinator takes the certificate. A disk that is full is no reason not to talk to it.
func (id *identity) accept(l Layout) error {
	if id.Accepted {
		return nil
	}
	id.Accepted = true
	return id.save(l)
}

func (id *identity) certificate() *tls.Certificate {
	if id.leaf == nil {
		return nil
	}
	return &tls.Certificate{Certificate: id.Chain, PrivateKey: id.key, Leaf: id.leaf}
}

// dial prepares a connection to one coordinator; it is made at the first call. No proxy of the environment is used.
func (id *identity) dial(s *seed.Seed, coordinator string, cert *tls.Certificate, clock func() time.Time) (*grpc.ClientConn, error) {
	trusted, err := id.Told.roots(s)
	if err != nil {
		return nil, err
	}
	config, err := proof.ClientTLSByRoots(trusted, cert, hostOf(coordinator), clock)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///"+coordinator,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry())
}

// enrolTimeout bounds one dialogue.
const enrolTimeout = 20 * time.Second

// enrol proves this host's right to join, by the seed's token or by the document of its instance, and stores the
// certificate that it gets. Either is sent after the coordinator has shown a certificate of the seed's CA, and not a byte
// before.
func (id *identity) enrol(ctx context.Context, l Layout, s *seed.Seed, coordinator string, f *syncv1.Facts, document []byte, clock func() time.Time) error {
	method := "token"
	if s.AWSPolicy != "" {
		method = "aws"
	}
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	conn, err := id.dial(s, coordinator, nil, clock)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := enrolmentv1.NewEnrolmentServiceClient(conn).Enroll(ctx)
	if err != nil {
		return err
	}
	csr, err := proof.CSR(id.key)
	if err != nil {
		return err
	}
	if err := stream.Send(&enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Hello{
		Hello: &enrolmentv1.Hello{Csr: csr, Method: method},
	}}); err != nil {
		return streamError(stream, err)
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	nonce := answer.GetChallenge().GetNonce()
	if len(nonce) != proof.NonceSize {
		return errors.New("the coordinator's challenge is not one")
	}
	p, ok := peer.FromContext(stream.Context())
	if !ok {
		return errors.New("no connection to prove anything on")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return errors.New("the connection is not TLS")
	}
	exporter, err := proof.Exporter(&info.State)
	if err != nil {
		return err
	}
	signature, err := proof.Sign(id.key, proof.Transcript(nonce, exporter, csr, method))
	if err != nil {
		return err
	}
	if err := stream.Send(&enrolmentv1.EnrollRequest{Step: &enrolmentv1.EnrollRequest_Proof{Proof: &enrolmentv1.Proof{
		Signature: signature, Token: s.Token.Reveal(), HostName: f.Name, HostAddress: f.Address, Zone: f.Zone, Labels: f.Labels,
		Policy: s.AWSPolicy, Document: document,
	}}}); err != nil {
		return streamError(stream, err)
	}
	answer, err = stream.Recv()
	if err != nil {
		return err
	}
	credential := answer.GetCredential()
	if credential == nil || len(credential.Chain) == 0 {
		return errors.New("the coordinator answered without a certificate")
	}
	return id.adopt(l, s, credential.Chain, id.key)
}

// adopt stores a certificate after checking that it is for our key and names a host of our cluster.
func (id *identity) adopt(l Layout, s *seed.Seed, chain [][]byte, key *ecdsa.PrivateKey) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	text, err := proof.MarshalKey(key)
	if err != nil {
		return err
	}
	host, err := proof.HostFromCertificate(leaf, s.Cluster)
	if err != nil {
		return err
	}
	fresh := identity{Key: text, Chain: chain, HostID: host, key: key, leaf: leaf, Told: id.Told}
	if err := fresh.save(l); err != nil {
		return err
	}
	*id = fresh
	return nil
}

// renew gets a certificate for a fresh key. A crash before it is stored leaves the old one, which stays good.
func (id *identity) renew(ctx context.Context, l Layout, s *seed.Seed, client syncv1.SyncServiceClient) error {
	key, err := proof.NewKey()
	if err != nil {
		return err
	}
	csr, err := proof.CSR(key)
	if err != nil {
		return err
	}
	resp, err := client.Renew(ctx, &syncv1.RenewRequest{Csr: csr})
	if err != nil {
		return err
	}
	if len(resp.Chain) == 0 {
		return errors.New("the coordinator answered without a certificate")
	}
	return id.adopt(l, s, resp.Chain, key)
}

// streamError is the reason why a send failed, which only Recv tells.
func streamError(stream grpc.ClientStream, sent error) error {
	if err := stream.RecvMsg(&enrolmentv1.EnrollResponse{}); err != nil {
		return err
	}
	return sent
}
