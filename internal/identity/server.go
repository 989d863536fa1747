package identity

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"muster/internal/proof"
)

const serverLifetime = 90 * 24 * time.Hour

// ServerCertificate makes a certificate, with a fresh key that is never written anywhere, for a server that is reached
// under these IP addresses and DNS names.
func (c *CA) ServerCertificate(names []string, now time.Time) (tls.Certificate, error) {
	return c.at.Load().serverCertificate(names, now)
}

func (st *standing) serverCertificate(names []string, now time.Time) (tls.Certificate, error) {
	fail := func(err error) (tls.Certificate, error) {
		return tls.Certificate{}, fmt.Errorf("issuing a server certificate: %w", err)
	}
	addresses, dnsNames, err := splitNames(names)
	if err != nil {
		return fail(err)
	}
	if now.After(st.servers.cert.NotAfter) {
		return fail(fmt.Errorf("the intermediate for servers expired at %s; put %s back and restart the coordinator",
			st.servers.cert.NotAfter.UTC().Format(time.RFC3339), rootKeyFile))
	}
	key, err := proof.NewKey()
	if err != nil {
		return fail(err)
	}
	number, err := newSerial()
	if err != nil {
		return fail(err)
	}
	template := &x509.Certificate{
		SerialNumber:          number,
		NotBefore:             st.begins(),
		NotAfter:              earliest(now.Add(serverLifetime), st.servers.cert.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IPAddresses:           addresses,
		DNSNames:              dnsNames,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, st.servers.cert, key.Public(), st.servers.key)
	if err != nil {
		return fail(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	chain := [][]byte{der, st.servers.cert.Raw}
	if st.rotation != nil && st.rotation.cross != nil {
		chain = append(chain, st.rotation.cross.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// begins is when the oldest root begins that a host may trust.
func (st *standing) begins() time.Time {
	first := st.root.NotBefore
	for _, root := range st.roots() {
		first = earliest(first, root.NotBefore)
	}
	return first
}

func splitNames(names []string) ([]net.IP, []string, error) {
	if len(names) == 0 {
		return nil, nil, errors.New("no address; list the coordinator's addresses in cluster.yaml")
	}
	var addresses []net.IP
	var dnsNames []string
	for _, name := range names {
		if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" {
			addresses = append(addresses, a.Unmap().AsSlice())
			continue
		}
		name = strings.ToLower(name)
		if len(name) > 253 {
			return nil, nil, fmt.Errorf("%.80q... is too long for a DNS name", name)
		}
		labels := strings.Split(name, ".")
		// A last label of digits is a mistyped IPv4 address, not a name (RFC 1123, 2.1).
		numeric := strings.Trim(labels[len(labels)-1], "0123456789") == ""
		for _, label := range labels {
			if numeric || checkLabel(label) != nil {
				return nil, nil, fmt.Errorf("%q is neither an IP address nor a DNS name; give it without port, zone or wildcard", name)
			}
		}
		dnsNames = append(dnsNames, name)
	}
	return addresses, dnsNames, nil
}
