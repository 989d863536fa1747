package identity

import (
	"crypto/tls"
	"slices"
	"sync"
	"time"
)

// ServerCertificates keeps a server certificate for the life of a process and renews it in the last third of its own.
type ServerCertificates struct {
	ca    *CA
	names []string
	clock func() time.Time

	mu      sync.Mutex
	current tls.Certificate
	by      *standing // what current was made by
}

// ServerCertificates makes the first certificate, so that bad names are an error at the start and not at a handshake.
func (c *CA) ServerCertificates(names []string, clock func() time.Time) (*ServerCertificates, error) {
	by := c.at.Load()
	first, err := by.serverCertificate(names, clock())
	if err != nil {
		return nil, err
	}
	return &ServerCertificates{ca: c, names: slices.Clone(names), clock: clock, current: first, by: by}, nil
}

// GetCertificate is for tls.Config. If renewal fails, the certificate at hand is served for as long as it is valid.
func (s *ServerCertificates) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := s.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	leaf, by := s.current.Leaf, s.ca.at.Load()
	// One that ends with its CA cannot be prolonged; trying would cost a signature at each handshake.
	prolongable := leaf.NotAfter.Before(by.servers.cert.NotAfter)
	future := leaf.NotAfter.After(now.Add(serverLifetime)) // the clock was set back
	if future || by != s.by || prolongable && renewalDue(leaf, serverLifetime, now) {
		fresh, err := by.serverCertificate(s.names, now)
		if err == nil {
			s.current, s.by = fresh, by
		} else if now.After(leaf.NotAfter) {
			return nil, err
		}
	}
	served := s.current
	return &served, nil
}

// ServerTLS is the TLS side of the door for hosts: 1.3 only, because the proof of possession is bound to its exporter.
// A host that enrols has no certificate yet; one that shows a certificate must show one of this CA, valid now by the
// clock of certs. There are no session tickets: a resumed session would carry an identity past its expiry.
//
// Whom it trusts follows the CA from one handshake to the next, so that a rotation cuts no connection.
func (c *CA) ServerTLS(certs *ServerCertificates) *tls.Config {
	config := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         certs.GetCertificate,
		ClientAuth:             tls.VerifyClientCertIfGiven,
		ClientCAs:              c.ClientPool(),
		SessionTicketsDisabled: true,
		NextProtos:             []string{"h2"},
		Time:                   certs.clock,
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := config.Clone()
		now.ClientCAs, now.GetConfigForClient = c.ClientPool(), nil
		return now, nil
	}
	return config
}
