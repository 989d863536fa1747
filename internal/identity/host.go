package identity

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"muster/internal/proof"
)

const (
	// HostTTL is how long a host certificate is valid unless there is a reason.
	HostTTL = 24 * time.Hour
	// MaxHostTTL is the longest that IssueHost accepts.
	MaxHostTTL = 7 * 24 * time.Hour
)

// IssueHost makes the certificate of a host: its URI, its key, for clients only. It answers the certificate and the
// intermediate in DER, the serial in hexadecimal as Serial gives it, and the end of validity, which is earlier than now
// plus ttl only if the CA itself ends before. Whether this host may have a certificate was decided by the caller.
func (c *CA) IssueHost(csr *CheckedCSR, id proof.HostID, now time.Time, ttl time.Duration) (chainDER [][]byte, serial string, notAfter time.Time, err error) {
	fail := func(err error) ([][]byte, string, time.Time, error) {
		return nil, "", time.Time{}, fmt.Errorf("issuing a host certificate: %w", err)
	}
	if csr == nil || csr.public == nil {
		return fail(errors.New("the request was not checked"))
	}
	if _, err := proof.ParseHostID(string(id)); err != nil {
		return fail(err)
	}
	if ttl <= 0 || ttl > MaxHostTTL {
		return fail(fmt.Errorf("lifetime %v is not in 0 to %v", ttl, MaxHostTTL))
	}
	hosts := c.at.Load().hosts
	if now.After(hosts.cert.NotAfter) {
		return fail(fmt.Errorf("the intermediate for hosts expired at %s; put %s back: coordinator ca import",
			hosts.cert.NotAfter.UTC().Format(time.RFC3339), rootKeyFile))
	}
	chain, leaf, err := hosts.issueClient(csr.public, proof.URI(c.cluster, id), ttl, now)
	if err != nil {
		return fail(err)
	}
	return chain, Serial(leaf), leaf.NotAfter, nil
}

// issueClient makes a client's certificate that says only this URI, and gives it with its issuer's.
func (i issuer) issueClient(key *ecdsa.PublicKey, uri *url.URL, ttl time.Duration, now time.Time) ([][]byte, *x509.Certificate, error) {
	number, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          number,
		NotBefore:             now.Add(-skew),
		NotAfter:              earliest(now.Add(ttl), i.cert.NotAfter).UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{uri},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key, i.key)
	if err != nil {
		return nil, nil, err
	}
	return [][]byte{der, i.cert.Raw}, template, nil
}
