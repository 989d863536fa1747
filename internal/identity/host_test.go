package identity_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"muster/internal/identity"
	"muster/internal/proof"
)

func TestIssueHostMakesACertificateForAClientWithOneName(t *testing.T) {
	ca, _ := newCA(t, start)
	key := newKey(t)
	chain, serial, notAfter, err := ca.IssueHost(newCSR(t, key), hostA, start, identity.HostTTL)
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 2 {
		t.Fatalf("%d certificates, want the host's and the intermediate", len(chain))
	}
	cert := parse(t, chain[0])
	if id, err := proof.HostFromCertificate(cert, cluster); err != nil || id != hostA {
		t.Errorf("it names %q, %v", id, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("it has another key")
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || cert.KeyUsage != x509.KeyUsageDigitalSignature || cert.IsCA {
		t.Errorf("it is for %v, %v, CA %v", cert.ExtKeyUsage, cert.KeyUsage, cert.IsCA)
	}
	if cert.Subject.String() != "" || len(cert.URIs) != 1 || len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses) > 0 {
		t.Errorf("it says more than the URI: %v", cert)
	}
	if !cert.NotBefore.Equal(start.Add(-5*time.Minute)) || !cert.NotAfter.Equal(start.Add(24*time.Hour)) || !notAfter.Equal(cert.NotAfter) {
		t.Errorf("valid from %v to %v, answered %v", cert.NotBefore, cert.NotAfter, notAfter)
	}
	if raw, err := hex.DecodeString(serial); err != nil || len(raw) != 16 || identity.Serial(cert) != serial {
		t.Errorf("serial %q, in the certificate %q", serial, identity.Serial(cert))
	}
	if err := verifyHost(ca, chain, start); err != nil {
		t.Error(err)
	}
	if _, other, _, err := ca.IssueHost(newCSR(t, key), hostA, start, time.Hour); err != nil || other == serial {
		t.Errorf("the next serial is %q, %v", other, err)
	}
}

func TestIssueHostRefuses(t *testing.T) {
	ca, _ := newCA(t, start)
	good := newCSR(t, newKey(t))
	for name, c := range map[string]struct {
		csr *identity.CheckedCSR
		id  proof.HostID
		now time.Time
		ttl time.Duration
	}{
		"no request":                 {nil, hostA, start, time.Hour},
		"a request never checked":    {&identity.CheckedCSR{}, hostA, start, time.Hour},
		"no host":                    {good, "", start, time.Hour},
		"a malformed host ID":        {good, "h-x/../../operator", start, time.Hour},
		"no lifetime":                {good, hostA, start, 0},
		"a lifetime below zero":      {good, hostA, start, -time.Hour},
		"a lifetime over the limit":  {good, hostA, start, identity.MaxHostTTL + 1},
		"an intermediate that ended": {good, hostA, start.Add(3 * 365 * 24 * time.Hour), time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if chain, serial, _, err := ca.IssueHost(c.csr, c.id, c.now, c.ttl); err == nil || chain != nil || serial != "" {
				t.Errorf("got %q, %v", serial, err)
			}
		})
	}
}

func TestIssueHostNeverOutlivesTheIntermediate(t *testing.T) {
	ca, _ := newCA(t, start)
	_, _, notAfter, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, ca.NotAfter().Add(-time.Hour), identity.HostTTL)
	if err != nil || !notAfter.Equal(ca.NotAfter()) {
		t.Errorf("ends %v, want %v; %v", notAfter, ca.NotAfter(), err)
	}
}

func TestHostCertificateIsRefused(t *testing.T) {
	ca, _ := newCA(t, start)
	chain, _, notAfter, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newCA(t, start)
	for name, c := range map[string]struct {
		ca    *identity.CA
		chain [][]byte
		now   time.Time
	}{
		"after its end":                  {ca, chain, notAfter.Add(time.Second)},
		"before its beginning":           {ca, chain, start.Add(-6 * time.Minute)},
		"by another CA of the same name": {other, chain, start},
		"without the intermediate":       {ca, chain[:1], start},
	} {
		if err := verifyHost(c.ca, c.chain, c.now); err == nil {
			t.Errorf("accepted %s", name)
		}
	}
}

// What somebody with the keys of one intermediate can make, and hosts and coordinators still refuse.
func TestStolenIntermediateCannotLeaveItsPurpose(t *testing.T) {
	ca, dir := newCA(t, start)
	anything := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny}
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	for name, c := range map[string]struct {
		by     string
		usage  x509.ExtKeyUsage
		forged x509.Certificate
	}{
		"the hosts' makes a server certificate for a name":      {"hosts-ca", x509.ExtKeyUsageServerAuth, x509.Certificate{DNSNames: []string{"coordinator"}}},
		"the hosts' makes a server certificate for an address":  {"hosts-ca", x509.ExtKeyUsageServerAuth, x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4()}}},
		"the hosts' makes a server certificate without a name":  {"hosts-ca", x509.ExtKeyUsageServerAuth, x509.Certificate{}},
		"the hosts' makes a client certificate with a DNS name": {"hosts-ca", x509.ExtKeyUsageClientAuth, x509.Certificate{DNSNames: []string{"coordinator"}}},
		"the hosts' makes a client certificate with an IPv6 address": {"hosts-ca", x509.ExtKeyUsageClientAuth,
			x509.Certificate{IPAddresses: []net.IP{net.IPv6loopback}}},
		"the hosts' names a host of another cluster": {"hosts-ca", x509.ExtKeyUsageClientAuth,
			x509.Certificate{URIs: uri("muster://other/host/h-abcdefghijklm")}},
		"the servers' makes a host certificate": {"server-ca", x509.ExtKeyUsageClientAuth,
			x509.Certificate{URIs: uri("muster://demo/host/h-abcdefghijklm")}},
		"the servers' makes a server certificate that names a host": {"server-ca", x509.ExtKeyUsageServerAuth,
			x509.Certificate{URIs: uri("muster://demo/host/h-abcdefghijklm")}},
		"the operators' makes a server certificate for an address": {"operators-ca", x509.ExtKeyUsageServerAuth,
			x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4()}}},
		"the operators' names an operator of another cluster": {"operators-ca", x509.ExtKeyUsageClientAuth,
			x509.Certificate{URIs: uri("muster://other/operator/alice")}},
		"the operators' makes another CA": {"operators-ca", x509.ExtKeyUsageClientAuth,
			x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, URIs: uri("muster://demo/operator/alice")}},
		"the hosts' makes another CA": {"hosts-ca", x509.ExtKeyUsageClientAuth,
			x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, URIs: uri("muster://demo/host/h-abcdefghijklm")}},
	} {
		t.Run(name, func(t *testing.T) {
			issuer, key := readIssuer(t, dir, c.by)
			leaf := c.forged
			leaf.NotBefore, leaf.NotAfter, leaf.ExtKeyUsage = start, start.Add(time.Hour), anything
			leafKey := newKey(t)
			der, err := x509.CreateCertificate(rand.Reader, &leaf, issuer, leafKey.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			chain := [][]byte{der, issuer.Raw}
			if leaf.IsCA { // one level deeper
				below := &x509.Certificate{NotBefore: start, NotAfter: leaf.NotAfter, ExtKeyUsage: anything, URIs: leaf.URIs}
				der, err := x509.CreateCertificate(rand.Reader, below, parse(t, der), newKey(t).Public(), leafKey)
				if err != nil {
					t.Fatal(err)
				}
				chain = [][]byte{der, chain[0], issuer.Raw}
			}
			if _, err := verifyChain(ca, chain, start.Add(time.Minute), c.usage); err == nil {
				t.Error("accepted")
			} else {
				t.Log(err)
			}
		})
	}
}

func BenchmarkIssueHost(b *testing.B) {
	ca, _ := newCA(b, start)
	csr := newCSR(b, newKey(b))
	for b.Loop() {
		if _, _, _, err := ca.IssueHost(csr, hostA, start, identity.HostTTL); err != nil {
			b.Fatal(err)
		}
	}
}
