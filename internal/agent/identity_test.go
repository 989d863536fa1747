package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	authority "muster/internal/identity"
	"muster/internal/proof"
	"muster/internal/seed"
	syncv1 "muster/proto/muster/sync/v1"
)

// stored is the identity on disk.
func stored(t testing.TB, l Layout) *identity {
	t.Helper()
	id, err := loadIdentity(l)
	must(t, err)
	return id
}

func parseSeed(t testing.TB, text []byte) *seed.Seed {
	t.Helper()
	s, err := seed.Parse(text)
	must(t, err)
	return s
}

// checked is a request for a certificate as the coordinator takes it.
func checked(t testing.TB, key *ecdsa.PrivateKey) *authority.CheckedCSR {
	t.Helper()
	der, err := proof.CSR(key)
	must(t, err)
	csr, err := authority.CheckCSR(der)
	must(t, err)
	return csr
}

func TestTheKeyIsOnDiskBeforeItIsShown(t *testing.T) {
	h := newSite(t).host("loner")
	e := h.engine() // it has spoken to nobody
	if !stored(t, h.layout).key.Equal(e.id.key) {
		t.Error("another key is on disk")
	}
	if info, err := os.Stat(h.layout.key()); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key's mode is %v (%v)", info.Mode(), err)
	}
	if again := h.engine(); !again.id.key.Equal(e.id.key) {
		t.Error("the next start makes another key")
	}
}

func TestAHostWhoseAnswerWasLostComesBackAsTheSame(t *testing.T) {
	h := newSite(t).host("loner")
	e := h.engine()
	name, _ := os.Hostname()
	address, _ := ownIP(t)
	lost, err := h.core.Enroll(t.Context(), coordinator.Applicant{
		CSR: checked(t, e.id.key), Token: e.seed.Token.Reveal(), From: netip.MustParseAddr("127.0.0.1"), Name: name, Address: address.String(),
	})
	must(t, err)
	h.finish()
	if d := h.described(); d.Id != string(lost.Host) || d.Phase != syncv1.Phase_PHASE_DONE {
		t.Errorf("it joined as %v, was %v", d, lost.Host)
	}
	records, err := h.core.Tokens(t.Context())
	if err != nil || len(records) != 1 || records[0].Uses != 1 {
		t.Errorf("the token's uses: %+v, %v", records, err)
	}
}

func TestACertificateThatIsNotOursIsRefused(t *testing.T) {
	l := newRoot(t)
	mustMkdir(t, l.State())
	id := stored(t, l)
	before := read(t, l.key())
	ca, err := authority.Create(t.TempDir()+"/ca", "demo", time.Now())
	must(t, err)
	foreign, err := authority.Create(t.TempDir()+"/ca", "other", time.Now())
	must(t, err)
	issue := func(ca *authority.CA, key *ecdsa.PrivateKey) [][]byte {
		chain, _, _, err := ca.IssueHost(checked(t, key), "h-abcdefghijklm", time.Now(), time.Hour)
		must(t, err)
		return chain
	}
	stranger, err := proof.NewKey()
	must(t, err)
	s := &seed.Seed{Cluster: "demo"}
	for name, test := range map[string]struct {
		chain [][]byte
		want  string
	}{
		"for another key":       {issue(ca, stranger), "for another key"},
		"of another cluster":    {issue(foreign, id.key), `of cluster "demo"`},
		"not a certificate":     {[][]byte{[]byte("hello")}, "the certificate"},
		"without a name":        {[][]byte{selfSigned(t, id.key)}, "names no host"},
		"with an empty path":    {[][]byte{selfSigned(t, id.key, "muster://demo")}, "does not name a host"},
		"with a path too short": {[][]byte{selfSigned(t, id.key, "muster://demo/x")}, "does not name a host"},
	} {
		t.Run(name, func(t *testing.T) {
			err := id.adopt(l, s, test.chain, id.key)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if read(t, l.key()) != before || id.leaf != nil {
				t.Error("the identity has changed")
			}
		})
	}
	must(t, id.adopt(l, s, issue(ca, id.key), id.key))
	if got := stored(t, l); got.HostID != "h-abcdefghijklm" || got.leaf == nil {
		t.Errorf("the right one is stored as %+v", got)
	}
}

func selfSigned(t testing.TB, key *ecdsa.PrivateKey, names ...string) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		u, err := url.Parse(name)
		must(t, err)
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	must(t, err)
	return der
}

func TestACertificateIsRenewedBetweenFiftyAndSixtySixPercentOfItsLife(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	life := 100 * time.Hour
	var first []time.Duration
	for drawn := range int64(256) {
		id := &identity{leaf: &x509.Certificate{NotBefore: from, NotAfter: from.Add(life), SerialNumber: new(big.Int).Lsh(big.NewInt(drawn), 120)}}
		for due := time.Duration(0); ; due += time.Minute {
			if id.renewalDue(from.Add(due)) {
				first = append(first, due)
				break
			}
		}
		if !id.renewalDue(from.Add(life)) {
			t.Error("not at its end")
		}
	}
	if low, high := slices.Min(first), slices.Max(first); low < 50*time.Hour || low > 51*time.Hour || high < 65*time.Hour || high > 66*time.Hour+time.Minute {
		t.Errorf("from %v to %v", low, high)
	}
	slices.Sort(first)
	if n := len(slices.Compact(first)); n < 200 {
		t.Errorf("%d moments", n)
	}
}

func TestACertificateIsRenewedEarlyWhenTheCoordinatorAsks(t *testing.T) {
	id := &identity{leaf: &x509.Certificate{NotBefore: time.Now(), NotAfter: time.Now().Add(24 * time.Hour)}}
	id.renewWithin(0)
	if id.renewalDue(time.Now()) || !id.early.IsZero() {
		t.Error("nobody asked")
	}
	const most = 10 * time.Second
	seen := map[time.Duration]bool{}
	for range 100 {
		id.early = time.Time{}
		before := time.Now()
		id.renewWithin(most)
		if in := id.early.Sub(before); in < 0 || in > most+time.Second {
			t.Fatalf("in %v", in)
		}
		seen[id.early.Sub(before).Round(time.Second)] = true
	}
	if len(seen) < 5 {
		t.Error("all at once")
	}
	id.early = time.Now().Add(time.Hour)
	id.renewWithin(time.Nanosecond)
	if id.renewalDue(time.Now()) {
		t.Error("asked again, it draws again")
	}
	id.early = time.Now()
	if !id.renewalDue(time.Now()) {
		t.Error("not when it is time")
	}
}

func TestACertificateIsGoodUntilAMinuteBeforeItsEnd(t *testing.T) {
	from, life := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), 10*time.Hour
	id := &identity{}
	if id.valid(from) {
		t.Error("no certificate is a valid one")
	}
	id.leaf = &x509.Certificate{NotAfter: from.Add(life)}
	if !id.valid(from.Add(life-2*time.Minute)) || id.valid(from.Add(life-time.Minute)) {
		t.Error("a certificate is good until a minute before its end")
	}
}

func TestAnOldCertificateIsRenewedWithAFreshKey(t *testing.T) {
	s := newSite(t)
	s.restart(-20 * time.Hour)
	h := s.host("worker")
	stop, _ := h.begin()
	await(t, "it has joined", func() bool { return stored(t, h.layout).leaf != nil })
	stop()
	was := stored(t, h.layout)
	s.restart(0)
	h.begin()
	await(t, "it has another certificate", func() bool { return !stored(t, h.layout).leaf.Equal(was.leaf) })
	is := stored(t, h.layout)
	if is.key.Equal(was.key) || is.HostID != was.HostID {
		t.Errorf("the same key: %v; host %s, was %s", is.key.Equal(was.key), is.HostID, was.HostID)
	}
	if until := time.Until(is.leaf.NotAfter); until < 23*time.Hour {
		t.Errorf("the new certificate is good for %v", until)
	}
	// The coordinator takes it, and with that the old one is good no more.
	h.awaitPhase(syncv1.Phase_PHASE_READY)
	await(t, "the old certificate is denied", func() bool {
		_, err := s.core.Host(context.Background(), coordinator.Shown{Certificate: was.leaf, Before: true})
		return err != nil
	})
}

func TestAHostWhoseCertificateExpiredJoinsAgainWithTheSameKey(t *testing.T) {
	s := newSite(t)
	s.restart(-30 * time.Hour)
	h := s.host("loner")
	stop, _ := h.begin()
	await(t, "it has joined", func() bool { return stored(t, h.layout).leaf != nil })
	stop()
	was := stored(t, h.layout)
	if was.valid(time.Now()) {
		t.Fatal("the certificate is still good")
	}
	s.restart(0)
	h.finish()
	if d := h.described(); d.Id != string(was.HostID) || d.Phase != syncv1.Phase_PHASE_DONE {
		t.Errorf("the coordinator says %v, the host was %s", d, was.HostID)
	}
}

func TestADamagedIdentityIsReplacedSoThatTheCoordinatorHearsOfTheHost(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut off": `{"key":"LS0t`, "without a key": "{}", "with half a certificate": `{"key":"","chain":["AAAA"]}`} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			h := s.host("loner")
			must(t, os.WriteFile(h.layout.key(), []byte(text), 0o600))
			h.finish()
			h.awaitPhase(syncv1.Phase_PHASE_DONE)
			if !strings.Contains(h.log.String(), "damaged") {
				t.Errorf("the log does not say why it has a fresh key:\n%s", h.log)
			}
		})
	}
}

// wire is a connection that keeps what came in.
type wire struct {
	net.Conn
	in bytes.Buffer
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.in.Write(b[:n])
	return n, err
}

func TestNotAByteOfTheTokenGoesToAServerOfAnotherCA(t *testing.T) {
	own, err := authority.Create(t.TempDir()+"/ca", "demo", time.Now())
	must(t, err)
	// Of the same cluster's name: the name is not what is trusted.
	foreign, err := authority.Create(t.TempDir()+"/ca", "demo", time.Now())
	must(t, err)
	token, err := authority.NewToken(rand.Reader)
	must(t, err)
	for name, test := range map[string]struct {
		ca    *authority.CA
		names []string
		hears bool
	}{
		"of our CA":                         {own, []string{"127.0.0.1"}, true},
		"of another CA":                     {foreign, []string{"127.0.0.1"}, false},
		"of our CA but for another address": {own, []string{"127.0.0.2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, err := test.ca.ServerCertificate(test.names, time.Now())
			must(t, err)
			listener := listen(t, "127.0.0.1:0")
			defer listener.Close()
			type heard struct {
				raw, plain []byte
				handshake  error
			}
			result := make(chan heard, 1)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				w := &wire{Conn: conn}
				server := tls.Server(w, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
				_ = server.SetDeadline(time.Now().Add(5 * time.Second))
				var h heard
				h.handshake = server.Handshake()
				first := make([]byte, 24) // what HTTP/2 begins with
				n, _ := io.ReadFull(server, first)
				h.plain = first[:n]
				_ = server.Close()
				h.raw = w.in.Bytes()
				result <- h
			}()
			l := newRoot(t)
			mustMkdir(t, l.State())
			s := &seed.Seed{Cluster: "demo", CA: string(own.RootPEM()), Token: seed.Token(token.Reveal())}
			err = stored(t, l).enrol(t.Context(), l, s, listener.Addr().String(), &syncv1.Facts{Name: "bare-host", Address: "10.1.2.3"}, nil, time.Now)
			if err == nil {
				t.Error("it has joined a server that is no coordinator")
			}
			h := <-result
			if got := len(h.plain) > 0; got != test.hears {
				t.Errorf("the server heard %q (handshake: %v; the host: %v)", h.plain, h.handshake, err)
			}
			if !test.hears && h.handshake == nil {
				t.Error("the host took the server's certificate")
			}
			_, secret, _ := strings.Cut(token.Reveal(), ".")
			for _, word := range []string{secret, secret[strings.IndexByte(secret, '.')+1:], "bare-host"} {
				if bytes.Contains(h.raw, []byte(word)) {
					t.Errorf("%q is on the wire", word)
				}
			}
		})
	}
}

func TestALogNeverHasTheToken(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	secret := parseSeed(t, []byte(read(t, h.layout.seed()))).Token.Reveal()
	secret = secret[strings.LastIndexByte(secret, '.')+1:]
	h.finish()
	if len(secret) < 40 || strings.Contains(h.log.String(), secret) {
		t.Errorf("the log has the token:\n%s", h.log)
	}
}

func TestAHostThatJoinsAsAnotherDropsItsEarlierLife(t *testing.T) {
	e := offline(t)
	e.work = &work{cancel: func() {}, done: make(chan struct{})}
	stopped := make(chan struct{})
	e.work.cancel = func() { close(stopped); close(e.work.done) }
	e.journal.Plan, e.journal.Sequence, e.journal.Reports = &Plan{ID: "old"}, 7, [][]byte{{}}
	must(t, e.become("h-1"))
	if e.journal.Plan == nil || e.work == nil {
		t.Fatal("the same host lost its plan")
	}
	must(t, e.become("h-2"))
	select {
	case <-stopped:
	default:
		t.Error("work of the earlier life goes on")
	}
	if j, err := loadJournal(e.layout, "h-2", e.log); err != nil || j.HostID != "h-2" || j.Plan != nil || j.Sequence != 0 || len(j.Reports) != 0 {
		t.Errorf("the journal is %+v, %v", j, err)
	}
}

func TestACoordinatorThatRefusesIsAskedAgainAndSaysWhy(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	records, err := s.core.Tokens(t.Context())
	must(t, err)
	must(t, s.core.RevokeToken(t.Context(), coordinator.Actor{Name: "uid 0"}, records[0].ID))
	stop, _ := h.begin()
	await(t, "it was refused twice", func() bool { return strings.Count(h.log.String(), "the join token was refused") > 1 })
	stop()
	if h.described() != nil || !errors.Is(os.Remove(h.layout.journal()), os.ErrNotExist) {
		t.Error("a host that was refused has joined")
	}
}
