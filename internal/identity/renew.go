package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

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

// Tend renews what is due, as Open does, in a CA that is in use.
func (c *CA) Tend(now time.Time) error {
	unlock, err := lock(c.dir, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	st, err := read(c.dir, c.cluster)
	if err != nil {
		return err
	}
	st, err = st.tend(c.dir, now)
	c.at.Store(st)
	return err
}

// TendDir is Tend for a directory that is in use by none or by another process, also when the CA has expired. It says
// whether anything was renewed.
func TendDir(dir string, now time.Time) (renewed bool, err error) {
	unlock, err := lock(dir, unix.LOCK_EX)
	if err != nil {
		return false, err
	}
	defer unlock()
	cluster, err := clusterOf(dir)
	if err != nil {
		return false, err
	}
	st, err := read(dir, cluster)
	if err != nil {
		return false, err
	}
	fresh, err := st.tend(dir, now)
	was := st.held()
	for i, h := range fresh.held() {
		renewed = renewed || h.cert != was[i].cert
	}
	return renewed, err
}

// clusterOf is the cluster that the CA in a directory is of.
func clusterOf(dir string) (string, error) {
	issuing, _, err := places(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(issuing, forHosts.file+".crt")
	cert, err := readCertificate(path)
	if err != nil {
		return "", err
	}
	if len(cert.PermittedURIDomains) != 1 {
		return "", &FileError{path, "is not the intermediate certificate for " + forHosts.title, restore, nil}
	}
	return cert.PermittedURIDomains[0], nil
}

// tend brings the directory up to date. What it answers is good also beside an error.
func (st *standing) tend(dir string, now time.Time) (*standing, error) {
	err := rollForward(dir)
	issuing, keyDir, placesErr := places(dir)
	if err = errors.Join(err, placesErr); err != nil {
		return st, err
	}
	a := st.authority
	err = errors.Join(a.complete(issuing, keyDir, now), a.renew(issuing, keyDir, now))
	return newStanding(a, st.rotation), err
}

// renew gives the intermediates that are due a new certificate for the same key. With the same key, one file is
// replaced and not two, so no crash can tear a pair apart, and what was issued before stays valid.
func (a *authority) renew(dir, keyDir string, now time.Time) error {
	due := func(cert *x509.Certificate) bool {
		return cert != nil && cert.NotAfter.Before(a.root.NotAfter) && renewalDue(cert, intermediateLifetime, now)
	}
	if !slices.ContainsFunc(a.held(), func(h held) bool { return due(h.cert) }) {
		return nil
	}
	key, err := readRootKey(keyDir, a.root)
	if err != nil || key == nil {
		return err
	}
	root := issuer{a.root, key}
	for _, r := range a.held() {
		if !due(r.cert) {
			continue
		}
		cert, err := makeIntermediate(root, r.purpose, r.key.Public(), a.cluster, now)
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
