package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"muster/internal/durable"
)

// readRootKey returns nil without an error if the key is kept elsewhere.
func readRootKey(dir string, root *x509.Certificate) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, rootKeyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(root.PublicKey) {
		return nil, &FileError{path, "is not the key of " + rootCertFile, restore, nil}
	}
	return key, nil
}

// renew gives the intermediates that are due a new certificate for the same key. With the same key, one file is
// replaced and not two, so no crash can tear a pair apart, and what was issued before stays valid.
func (c *CA) renew(dir string, now time.Time) error {
	due := func(cert *x509.Certificate) bool {
		return cert.NotAfter.Before(c.root.NotAfter) && renewalDue(cert, intermediateLifetime, now)
	}
	if !due(c.hosts.cert) && !due(c.servers.cert) {
		return nil
	}
	key, err := readRootKey(dir, c.root)
	if err != nil || key == nil {
		return err
	}
	root := issuer{c.root, key}
	for _, r := range []struct {
		purpose
		*issuer
	}{{forHosts, &c.hosts}, {forServers, &c.servers}} {
		if !due(r.cert) {
			continue
		}
		cert, err := makeIntermediate(root, r.purpose, r.key.Public(), c.cluster, now)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(dir, r.file+".crt"), encodeCertificate(cert.Raw), 0o644); err != nil {
			return fmt.Errorf("renewing the CA: %w", err)
		}
		r.cert = cert
	}
	return nil
}

// renewalDue is true in the last third of a certificate's life, which is shorter than it says: see skew.
func renewalDue(cert *x509.Certificate, life time.Duration, now time.Time) bool {
	return now.After(cert.NotAfter.Add(-life / 3))
}
