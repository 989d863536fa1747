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
	if err := checkRoot(root); err != nil {
		return nil, err
	}
	return root, nil
}

// ParseRootDER is ParseRoot of a certificate in DER.
func ParseRootDER(der []byte) (*x509.Certificate, error) {
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	if err := checkRoot(root); err != nil {
		return nil, err
	}
	return root, nil
}

func checkRoot(root *x509.Certificate) error {
	if !root.BasicConstraintsValid || !root.IsCA {
		return errors.New("CA certificate: it is not a CA's")
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("CA certificate: not a root, or damaged: %w", err)
	}
	return nil
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
	return ClientTLSByRoots([]*x509.Certificate{root}, cert, serverName, clock)
}

// ClientTLSByRoots is ClientTLS for a host that was told by its coordinator which roots to trust, the newest first: two
// while the CA is being rotated. The clock counts within the life of the newest, which the server's certificate is valid
// at the beginning of, whichever root it leads to.
func ClientTLSByRoots(trusted []*x509.Certificate, cert *tls.Certificate, serverName string, clock func() time.Time) (*tls.Config, error) {
	if len(trusted) == 0 {
		return nil, errors.New("no CA certificate to trust")
	}
	if serverName == "" {
		return nil, errors.New("no name to expect in the coordinator's certificate")
	}
	roots := x509.NewCertPool()
	for _, root := range trusted {
		roots.AddCert(root)
	}
	newest := trusted[0]
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    roots,
		ServerName: serverName,
		NextProtos: []string{"h2"},
		Time: func() time.Time {
			now := clock()
			if now.Before(newest.NotBefore) {
				return newest.NotBefore
			}
			if now.After(newest.NotAfter) {
				return newest.NotAfter
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
