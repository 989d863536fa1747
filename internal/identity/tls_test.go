package identity_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"muster/internal/identity"
	"muster/internal/proof"
)

// result is what one end of a connection saw.
type result struct {
	state tls.ConnectionState
	sent  []byte // what the other end sent as application data
	err   error
}

const greeting = "mt1.canary"

// connect lets a client say its greeting to a server over loopback and gives what both saw. In TLS 1.3 a client learns
// only from its first read that its certificate was refused, so both ends read and write.
func connect(t *testing.T, server, client *tls.Config) (atServer, atClient result) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan result, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		done <- talk(tls.Server(raw, server), "welcome")
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	atClient = talk(tls.Client(raw, client), greeting)
	return <-done, atClient
}

func talk(conn *tls.Conn, say string) result {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err := conn.Handshake(); err != nil {
		return result{err: err}
	}
	if _, err := io.WriteString(conn, say); err != nil {
		return result{err: err}
	}
	_ = conn.CloseWrite()
	heard, err := io.ReadAll(conn)
	return result{state: conn.ConnectionState(), sent: heard, err: err}
}

func serverConfig(t *testing.T, ca *identity.CA, now time.Time) *tls.Config {
	t.Helper()
	certs, err := ca.ServerCertificates([]string{"127.0.0.1", "coordinator"}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return ca.ServerTLS(certs)
}

func clientConfig(t *testing.T, ca *identity.CA, cert *tls.Certificate, now time.Time) *tls.Config {
	t.Helper()
	config, err := proof.ClientTLS(ca.RootPEM(), cert, "127.0.0.1", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func hostCertificate(t *testing.T, ca *identity.CA, now time.Time) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	chain, _, _, err := ca.IssueHost(newCSR(t, key), hostA, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key}
}

func TestEnrolledHostIsKnownByItsCertificate(t *testing.T) {
	ca, _ := newCA(t, start)
	server, client := connect(t, serverConfig(t, ca, start), clientConfig(t, ca, hostCertificate(t, ca, start), start))
	if server.err != nil || client.err != nil {
		t.Fatal(server.err, client.err)
	}
	if len(server.state.VerifiedChains) == 0 {
		t.Fatal("the host's certificate was not verified")
	}
	if id, err := proof.HostFromCertificate(server.state.PeerCertificates[0], cluster); err != nil || id != hostA {
		t.Errorf("host %q, %v", id, err)
	}
	if server.state.Version != tls.VersionTLS13 || server.state.NegotiatedProtocol != "h2" || string(server.sent) != greeting {
		t.Errorf("version %x, protocol %q, heard %q", server.state.Version, server.state.NegotiatedProtocol, server.sent)
	}
}

func TestHostWithoutACertificateCanConnectAndProveItsKey(t *testing.T) {
	ca, _ := newCA(t, start)
	server, client := connect(t, serverConfig(t, ca, start), clientConfig(t, ca, nil, start))
	if server.err != nil || client.err != nil {
		t.Fatal(server.err, client.err)
	}
	if len(server.state.PeerCertificates) > 0 {
		t.Error("a certificate came from nowhere")
	}
	key := newKey(t)
	csr := newCSR(t, key)
	nonce := make([]byte, proof.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		t.Fatal(err)
	}
	exporter := func(state tls.ConnectionState) []byte {
		v, err := proof.Exporter(&state)
		if err != nil || len(v) != proof.ExporterLength {
			t.Fatalf("exporter of %d bytes, %v", len(v), err)
		}
		return v
	}
	sig, err := proof.Sign(key, proof.Transcript(nonce, exporter(client.state), csr.DER(), "token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.Verify(csr.PublicKey(), proof.Transcript(nonce, exporter(server.state), csr.DER(), "token"), sig); err != nil {
		t.Errorf("the proof: %v", err)
	}
	// The same proof on a second connection.
	second, _ := connect(t, serverConfig(t, ca, start), clientConfig(t, ca, nil, start))
	if bytes.Equal(exporter(second.state), exporter(server.state)) {
		t.Error("two connections share an exporter")
	}
	if err := proof.Verify(csr.PublicKey(), proof.Transcript(nonce, exporter(second.state), csr.DER(), "token"), sig); !errors.Is(err, proof.ErrProof) {
		t.Errorf("a proof replayed on a second connection: %v", err)
	}
}

func TestClientAbortsBeforeItSendsAnything(t *testing.T) {
	ca, dir := newCA(t, start)
	other, _ := newCA(t, start)
	good := func(*testing.T) *tls.Config { return serverConfig(t, ca, start) }
	serving := func(cert tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }
	for name, c := range map[string]struct {
		server func(t *testing.T) *tls.Config
		now    time.Time
		host   string
	}{
		"the server's certificate is of another CA": {func(t *testing.T) *tls.Config { return serverConfig(t, other, start) }, start, "127.0.0.1"},
		"the server shows a host's certificate":     {func(t *testing.T) *tls.Config { return serving(*hostCertificate(t, ca, start)) }, start, "127.0.0.1"},
		"the server made one with the hosts' key": {func(t *testing.T) *tls.Config {
			issuer, key := readIssuer(t, dir, "hosts-ca")
			own := newKey(t)
			der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
				NotBefore: start, NotAfter: start.Add(time.Hour),
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4()},
			}, issuer, own.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			return serving(tls.Certificate{Certificate: [][]byte{der, issuer.Raw}, PrivateKey: own})
		}, start.Add(time.Minute), "127.0.0.1"},
		"the server's certificate has expired":          {good, start.Add(91 * 24 * time.Hour), "127.0.0.1"},
		"the server's certificate expired a moment ago": {good, start.Add(90*24*time.Hour + time.Second), "127.0.0.1"},
		"the host's clock is beyond the CA's life":      {good, start.AddDate(50, 0, 0), "127.0.0.1"},
		"the server has another address":                {good, start, "127.0.0.2"},
		"the server has another name":                   {good, start, "coordinator.example"},
		"the server speaks TLS 1.2 only": {func(t *testing.T) *tls.Config {
			config := serverConfig(t, ca, start)
			config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			return config
		}, start, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientConfig(t, ca, hostCertificate(t, ca, start), c.now)
			client.ServerName = c.host
			atServer, atClient := connect(t, c.server(t), client)
			if atClient.err == nil {
				t.Error("the client went on")
			}
			if len(atServer.sent) > 0 || atServer.err == nil || len(atServer.state.PeerCertificates) > 0 {
				t.Errorf("the server got %q, error %v", atServer.sent, atServer.err)
			}
		})
	}
}

func TestAHostWhoseClockIsBehindTrustsItsCoordinator(t *testing.T) {
	ca, dir := newCA(t, start)
	later := start.Add(500 * 24 * time.Hour)
	renewed, err := identity.Open(dir, cluster, later)
	if err != nil {
		t.Fatal(err)
	}
	for name, now := range map[string]time.Time{
		"an hour": start.Add(-time.Hour), "a year": start.AddDate(-1, 0, 0), "at its beginning": time.Unix(0, 0), "no time": {},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := connect(t, serverConfig(t, ca, start), clientConfig(t, ca, nil, now))
			if server.err != nil || client.err != nil {
				t.Error(server.err, client.err)
			}
			server, client = connect(t, serverConfig(t, renewed, later), clientConfig(t, ca, hostCertificate(t, renewed, later), now))
			if server.err != nil || client.err != nil {
				t.Error("after the CA was renewed:", server.err, client.err)
			}
		})
	}
}

func TestServerRefusesClients(t *testing.T) {
	ca, _ := newCA(t, start)
	other, _ := newCA(t, start)
	selfSigned := func() *tls.Certificate {
		key := newKey(t)
		template := &x509.Certificate{NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), URIs: parse(t, hostCertificate(t, ca, start).Certificate[0]).URIs}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	serverCert, err := ca.ServerCertificate([]string{"127.0.0.1"}, start)
	if err != nil {
		t.Fatal(err)
	}
	stolen := hostCertificate(t, ca, start)
	stolen.PrivateKey = newKey(t)
	for name, c := range map[string]struct {
		cert   *tls.Certificate
		now    time.Time
		change func(*tls.Config)
		want   string
	}{
		"a host certificate that has expired":    {hostCertificate(t, ca, start), start.Add(2 * time.Hour), nil, "expired"},
		"a host certificate of the future":       {hostCertificate(t, ca, start.Add(time.Hour)), start, nil, "not yet valid"},
		"a host certificate of another CA":       {hostCertificate(t, other, start), start, nil, "unknown authority"},
		"a certificate signed by itself":         {selfSigned(), start, nil, "unknown authority"},
		"a server's certificate":                 {&serverCert, start, nil, "incompatible key usage"},
		"a host certificate without its key":     {stolen, start, nil, "invalid signature"},
		"a client that speaks TLS 1.2 only":      {nil, start, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "unsupported versions"},
		"a client that speaks another protocol":  {nil, start, func(c *tls.Config) { c.NextProtos = []string{"smtp"} }, "protocol"},
		"an enrolled client with TLS 1.2 only":   {hostCertificate(t, ca, start), start, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "unsupported versions"},
		"a chain that lacks the intermediate":    {&tls.Certificate{Certificate: stolen.Certificate[:1], PrivateKey: stolen.PrivateKey}, start, nil, "unknown authority"},
		"a chain that begins with the CA's cert": {&tls.Certificate{Certificate: stolen.Certificate[1:], PrivateKey: stolen.PrivateKey}, start, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientConfig(t, ca, c.cert, start)
			if c.change != nil {
				c.change(client)
			}
			server := serverConfig(t, ca, start)
			server.Time = func() time.Time { return c.now }
			atServer, atClient := connect(t, server, client)
			if atServer.err == nil || len(atServer.sent) > 0 || atClient.err == nil {
				t.Fatalf("the server heard %q, error %v; the client's error %v", atServer.sent, atServer.err, atClient.err)
			}
			if !strings.Contains(atServer.err.Error(), c.want) {
				t.Errorf("the server's reason is %v, want %q", atServer.err, c.want)
			}
		})
	}
}

func TestSessionsAreNotResumed(t *testing.T) {
	ca, _ := newCA(t, start)
	server := serverConfig(t, ca, start)
	client := clientConfig(t, ca, hostCertificate(t, ca, start), start)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 3 {
		atServer, atClient := connect(t, server, client)
		if atServer.err != nil || atClient.err != nil {
			t.Fatal(atServer.err, atClient.err)
		}
		if atServer.state.DidResume || atClient.state.DidResume {
			t.Fatal("a session was resumed")
		}
	}
}
