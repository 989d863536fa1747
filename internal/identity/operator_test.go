package identity_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/identity"
	"muster/internal/proof"
)

// clientOf does what a server does with a client: verify the chain as TLS does, then read the name.
func clientOf(t *testing.T, ca *identity.CA, chain [][]byte, now time.Time) (identity.Client, error) {
	t.Helper()
	rest := x509.NewCertPool()
	for _, der := range chain[1:] {
		rest.AddCert(parse(t, der))
	}
	verified, err := parse(t, chain[0]).Verify(x509.VerifyOptions{
		Roots: ca.ClientPool(), Intermediates: rest, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return identity.Client{}, err
	}
	return ca.Client(verified[0])
}

func TestIssueOperatorMakesACertificateWithOneName(t *testing.T) {
	ca, _ := newCA(t, start)
	key := newKey(t)
	chain, serial, notAfter, err := ca.IssueOperator(newCSR(t, key), "alice", start, identity.OperatorTTL)
	if err != nil {
		t.Fatal(err)
	}
	cert := parse(t, chain[0])
	if uri, err := proof.SoleURI(cert); err != nil || uri != "muster://demo/operator/alice" {
		t.Errorf("it names %q, %v", uri, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) || cert.IsCA || identity.Serial(cert) != serial ||
		!notAfter.Equal(start.Add(identity.OperatorTTL)) || !cert.NotAfter.Equal(notAfter) || len(cert.ExtKeyUsage) != 1 {
		t.Errorf("%+v", cert)
	}
	if client, err := clientOf(t, ca, chain, start); err != nil || client != (identity.Client{Operator: "alice"}) {
		t.Errorf("%+v, %v", client, err)
	}
	chain, _, _, err = ca.IssueHost(newCSR(t, newKey(t)), hostA, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if client, err := clientOf(t, ca, chain, start); err != nil || client != (identity.Client{Host: hostA}) {
		t.Errorf("%+v, %v", client, err)
	}
}

func TestIssueOperatorRefuses(t *testing.T) {
	ca, _ := newCA(t, start)
	good := newCSR(t, newKey(t))
	for name, c := range map[string]struct {
		csr  *identity.CheckedCSR
		name string
		now  time.Time
		ttl  time.Duration
	}{
		"no request":                 {nil, "alice", start, time.Hour},
		"a request never checked":    {&identity.CheckedCSR{}, "alice", start, time.Hour},
		"no name":                    {good, "", start, time.Hour},
		"a path for a name":          {good, "a/../../host/h-abcdefghijklm", start, time.Hour},
		"capitals":                   {good, "Alice", start, time.Hour},
		"a line end":                 {good, "alice\n", start, time.Hour},
		"a name that is too long":    {good, strings.Repeat("a", 64), start, time.Hour},
		"no lifetime":                {good, "alice", start, 0},
		"a lifetime over the limit":  {good, "alice", start, identity.MaxOperatorTTL + 1},
		"an intermediate that ended": {good, "alice", start.Add(3 * 365 * 24 * time.Hour), time.Hour},
	} {
		if chain, serial, _, err := ca.IssueOperator(c.csr, c.name, c.now, c.ttl); err == nil || chain != nil || serial != "" {
			t.Errorf("%s: %q, %v", name, serial, err)
		}
	}
}

// The constraints of both intermediates let these names pass. What each is for decides.
func TestTheHostsKeyMakesNoOperatorAndTheOperatorsNoHost(t *testing.T) {
	ca, dir := newCA(t, start)
	for _, c := range []struct{ by, uri, want string }{
		{"hosts-ca", "muster://demo/operator/alice", "names no host"},
		{"operators-ca", "muster://demo/host/" + string(hostA), "names no operator"},
		{"operators-ca", "muster://demo/operator/Alice", "names no operator"},
		{"operators-ca", "muster://demo/operator/alice?level=admin", "names no operator"},
		{"operators-ca", "muster://demo/operator/", "names no operator"},
	} {
		by, key := readIssuer(t, dir, c.by)
		uri, err := url.Parse(c.uri)
		if err != nil {
			t.Fatal(err)
		}
		forged := &x509.Certificate{NotBefore: start, NotAfter: start.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{uri}}
		forged.Subject.CommonName = "muster demo operators"
		der, err := x509.CreateCertificate(rand.Reader, forged, by, newKey(t).Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		// The wrong intermediate may come along; it is in no chain.
		for _, name := range []string{"hosts-ca", "operators-ca"} {
			also, _ := readIssuer(t, dir, name)
			client, err := clientOf(t, ca, [][]byte{der, by.Raw, also.Raw}, start.Add(time.Minute))
			if err == nil || !strings.Contains(err.Error(), c.want) || client.Host+proof.HostID(client.Operator) != "" {
				t.Errorf("%s by %s is %+v, %v", c.uri, c.by, client, err)
			}
		}
	}
	cert, _ := readIssuer(t, dir, "hosts-ca")
	if client, err := ca.Client([]*x509.Certificate{cert}); err == nil {
		t.Errorf("a chain without an intermediate is %+v", client)
	}
	server, err := ca.ServerCertificate([]string{"127.0.0.1"}, start)
	if err != nil {
		t.Fatal(err)
	}
	if client, err := ca.Client([]*x509.Certificate{server.Leaf, parse(t, server.Certificate[1]), cert}); err == nil {
		t.Errorf("a server is %+v", client)
	}
}

// old is a CA of before there were operators' certificates.
func old(t *testing.T) string {
	t.Helper()
	_, dir := newCA(t, start)
	for _, ext := range []string{".crt", ".key"} {
		if err := os.Remove(filepath.Join(dir, "operators-ca"+ext)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenAddsTheIntermediateForOperators(t *testing.T) {
	dir := old(t)
	root := read(t, filepath.Join(dir, "root.crt"))
	chains := make([][][]byte, 8)
	var wg sync.WaitGroup
	for i := range chains { // also when several do so at once
		wg.Go(func() {
			ca, err := identity.Open(dir, cluster, start.Add(time.Hour))
			if err != nil {
				t.Error(err)
				return
			}
			if chains[i], _, _, err = ca.IssueOperator(newCSR(t, newKey(t)), "alice", start.Add(time.Hour), time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ca, err := identity.Load(dir, cluster, start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(root, ca.RootPEM()) {
		t.Error("another root")
	}
	for _, chain := range chains {
		if client, err := clientOf(t, ca, chain, start.Add(time.Hour)); err != nil || client.Operator != "alice" {
			t.Errorf("%+v, %v", client, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestACrashWhileTheIntermediateIsAddedLeavesNothingToRepair(t *testing.T) {
	dir := old(t)
	key, err := proof.MarshalKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "operators-ca.key"), key, 0o600)
	ca, err := identity.Open(dir, cluster, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := ca.IssueOperator(newCSR(t, newKey(t)), "alice", start, time.Hour); err != nil {
		t.Error(err)
	}
}

func TestWithoutTheRootKeyOnlyOperatorsAreMissing(t *testing.T) {
	dir := old(t)
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	ca, err := identity.Open(dir, cluster, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, start, time.Hour); err != nil {
		t.Error(err)
	}
	if _, _, _, err := ca.IssueOperator(newCSR(t, newKey(t)), "alice", start, time.Hour); !errors.Is(err, identity.ErrNoOperators) {
		t.Errorf("%v", err)
	}
}
