package attest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Certificates are those whose signatures count, by region.
type Certificates map[string][]*x509.Certificate

// certificateFiles has a file for each region. README.md beside them says where they come from.
//
//go:embed certificates/*.pem
var certificateFiles embed.FS

var builtin = sync.OnceValue(func() Certificates {
	known := Certificates{}
	files, err := certificateFiles.ReadDir("certificates")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		text, err := certificateFiles.ReadFile("certificates/" + f.Name())
		if err == nil {
			known[strings.TrimSuffix(f.Name(), ".pem")], err = ParseCertificates(text)
		}
		if err != nil {
			panic("the built-in certificate " + f.Name() + ": " + err.Error())
		}
	}
	return known
})

// Builtin are the certificates that come with the program. The caller may change its copy.
func Builtin() Certificates { return maps.Clone(builtin()) }

// Regions lists the regions in order.
func (c Certificates) Regions() []string { return slices.Sorted(maps.Keys(c)) }

// maxCertificates of one region are enough to change from one to another.
const maxCertificates = 4

// ParseCertificates reads the certificates of one region in PEM. Each must have an RSA key of 2048 bits and be signed by
// that key with SHA-256: AWS signs them so, and a letter that was lost when it was copied is noticed.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, errors.New("there is something that is not a certificate in PEM")
		}
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("there is something that is not a certificate in PEM")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, ok := c.PublicKey.(*rsa.PublicKey)
		switch {
		case !ok || key.N.BitLen() != 2048:
			return nil, fmt.Errorf("a certificate has a key of another kind (%v); AWS calls the right one RSA-2048", c.PublicKeyAlgorithm)
		case c.SignatureAlgorithm != x509.SHA256WithRSA:
			return nil, fmt.Errorf("a certificate is signed with %v, not SHA-256 and RSA", c.SignatureAlgorithm)
		}
		if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			return nil, errors.New("a certificate is not signed by its own key; copy it again from AWS")
		}
		found = append(found, c)
	}
	if len(found) == 0 || len(found) > maxCertificates {
		return nil, fmt.Errorf("there are %d certificates, not 1 to %d", len(found), maxCertificates)
	}
	return found, nil
}

// signed says whether a certificate of the region that is good now has the key of the signature.
func (c Certificates) signed(region string, s *signed, now time.Time) bool {
	return slices.ContainsFunc(c[region], func(c *x509.Certificate) bool {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		return ok && !now.Before(c.NotBefore) && !now.After(c.NotAfter) && s.by(key)
	})
}
