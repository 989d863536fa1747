package identity_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muster/internal/identity"
	"muster/internal/proof"
)

const (
	cluster = "demo"
	hostA   = proof.HostID("h-abcdefghijklm")
)

var start = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// newCA makes a CA for this test and returns its directory too.
func newCA(t testing.TB, now time.Time) (*identity.CA, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	ca, err := identity.Create(dir, cluster, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca, dir
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := proof.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCSR(t testing.TB, key *ecdsa.PrivateKey) *identity.CheckedCSR {
	t.Helper()
	der, err := proof.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.CheckCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func newToken(t testing.TB) identity.Token {
	t.Helper()
	token, err := identity.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// readIssuer reads an intermediate as a thief of the directory would.
func readIssuer(t testing.TB, dir, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	cert, err := proof.ParseCertificate(read(t, filepath.Join(dir, name+".crt")))
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.ParseKey(read(t, filepath.Join(dir, name+".key")))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, path string, text []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
}

// verifyChain does what TLS does with the other side's chain.
func verifyChain(ca *identity.CA, chain [][]byte, now time.Time, usage x509.ExtKeyUsage) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	rest := x509.NewCertPool()
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		rest.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: ca.ClientPool(), Intermediates: rest, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return leaf, err
}

// verifyHost does what a server does with a host: verify the chain, then read the name.
func verifyHost(ca *identity.CA, chain [][]byte, now time.Time) error {
	leaf, err := verifyChain(ca, chain, now, x509.ExtKeyUsageClientAuth)
	if err == nil {
		_, err = proof.HostFromCertificate(leaf, cluster)
	}
	return err
}
