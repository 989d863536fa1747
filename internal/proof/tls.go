package proof

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ParseCertificate reads a text that is one certificate in PEM and nothing else.
func ParseCertificate(text []byte) (*x509.Certificate, error) {
	der, err := onlyBlock(text, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// ParseRoot reads the one CA certificate that a host trusts. A bundle is refused whole, never searched for the one that
// fits: trusting every certificate in a file because one of them matches is how pins are bypassed.
func ParseRoot(rootPEM []byte) (*x509.Certificate, error) {
	root, err := ParseCertificate(rootPEM)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	if !root.BasicConstraintsValid || !root.IsCA {
		return nil, errors.New("CA certificate: it is not a CA's")
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("CA certificate: not a root, or damaged: %w", err)
	}
	return root, nil
}

// ClientTLS is how a host connects to its coordinator: TLS 1.3 to a server whose certificate for serverName (a DNS name
// or an IP address) comes from this one CA. Cert is the host's own, nil before it has enrolled. The system's CA
// certificates are never consulted and there is no way to skip verification.
//
// Clock is the host's own and may be anywhere: hosts come without a battery, and preflight, which finds that out, needs the
// coordinator. It counts within the life of the CA, at whose beginning the certificates of its servers begin.
func ClientTLS(rootPEM []byte, cert *tls.Certificate, serverName string, clock func() time.Time) (*tls.Config, error) {
	root, err := ParseRoot(rootPEM)
	if err != nil {
		return nil, err
	}
	if serverName == "" {
		return nil, errors.New("no name to expect in the coordinator's certificate")
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    roots,
		ServerName: serverName,
		NextProtos: []string{"h2"},
		Time: func() time.Time {
			now := clock()
			if now.Before(root.NotBefore) {
				return root.NotBefore
			}
			if now.After(root.NotAfter) {
				return root.NotAfter
			}
			return now
		},
	}
	if cert != nil {
		// Certificates would be left out silently when the server names other CAs, and the host would come as a stranger.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return config, nil
}
