package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	rootLifetime         = 10 * 365 * 24 * time.Hour
	intermediateLifetime = 2 * 365 * 24 * time.Hour

	// skew is how far the clocks of coordinators may differ: a certificate that a coordinator verifies begins this much
	// before it is made. One that hosts verify begins with the root, because a host's clock may be wrong by any time.
	skew = 5 * time.Minute
)

// purpose is what one intermediate is for. There is one for each kind of certificate, and each can issue only its kind:
// the usage and the names that an intermediate carries bind everything below it (RFC 5280, 4.2.1.10 and 4.2.1.12), so
// not even the key of the hosts' intermediate can make a server certificate that a host would trust. Hosts and operators
// are both clients with a name of this cluster, which no constraint can tell apart: CA.Client does, by the intermediate.
type purpose struct {
	file      string
	title     string
	usage     x509.ExtKeyUsage
	constrain func(template *x509.Certificate, cluster string)
	// optional is one that a CA whose root key was taken away early does not have.
	optional bool
}

var (
	forHosts = purpose{"hosts-ca", "hosts", x509.ExtKeyUsageClientAuth, onlyURIs, false}
	// The coordinator's addresses are not known when the CA is made, so its names are free, but it names no host.
	forServers = purpose{"server-ca", "servers", x509.ExtKeyUsageServerAuth, func(t *x509.Certificate, cluster string) {
		t.ExcludedURIDomains = []string{cluster}
	}, false}
	forOperators = purpose{"operators-ca", "operators", x509.ExtKeyUsageClientAuth, onlyURIs, true}

	purposes = []purpose{forHosts, forServers, forOperators}
)

// onlyURIs lets an intermediate give names of this cluster and no address of a server.
func onlyURIs(t *x509.Certificate, cluster string) {
	t.PermittedURIDomains = []string{cluster}
	t.ExcludedDNSDomains = []string{""} // the empty name is every name
	t.ExcludedIPRanges = []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
}

// subject is the name of an intermediate. The root signs no other CA, so the name tells what a chain is for, whichever
// key the intermediate has by now.
func (p purpose) subject(cluster string) string { return "muster " + cluster + " " + p.title }

// issuer is a CA certificate and its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newSerial draws a serial number of 128 bits. The last is set, because RFC 5280, 4.1.2.2 wants it positive; the others
// are random.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	b[15] |= 1
	return new(big.Int).SetBytes(b[:]), nil
}

// Serial is a certificate's serial number as IssueHost returns it: 32 lower-case hexadecimal digits.
func Serial(cert *x509.Certificate) string {
	var b [16]byte
	if cert.SerialNumber.Sign() <= 0 || cert.SerialNumber.BitLen() > 8*len(b) {
		return cert.SerialNumber.Text(16) // not from this CA
	}
	return hex.EncodeToString(cert.SerialNumber.FillBytes(b[:]))
}

func makeRoot(key *ecdsa.PrivateKey, cluster string, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "muster " + cluster + " root"},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(rootLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the root certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func makeIntermediate(root issuer, p purpose, pub crypto.PublicKey, cluster string, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{CommonName: p.subject(cluster)},
		NotBefore:                   root.cert.NotBefore,
		NotAfter:                    earliest(now.Add(intermediateLifetime), root.cert.NotAfter),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{p.usage},
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true, // makes all name constraints critical, as RFC 5280, 4.2.1.10 demands
	}
	p.constrain(template, cluster)
	der, err := x509.CreateCertificate(rand.Reader, template, root.cert, pub, root.key)
	if err != nil {
		return nil, fmt.Errorf("making the intermediate certificate for %s: %w", p.title, err)
	}
	return x509.ParseCertificate(der)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
