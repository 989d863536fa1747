package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// MaxCSRSize is the longest certificate request in bytes that is looked at. One that a host makes has about 200.
const MaxCSRSize = 8 << 10

// ErrCSR is in every error of CheckCSR. The text of the error is safe to send to the host.
var ErrCSR = errors.New("certificate request refused")

// CheckedCSR is a certificate request whose maker holds the key. Only CheckCSR makes one. It gives nothing but the key:
// what else was requested cannot be reached from here.
type CheckedCSR struct {
	der    []byte
	public *ecdsa.PublicKey
	keyID  [sha256.Size]byte
}

// DER is the request as it came, for proof.Transcript.
func (c *CheckedCSR) DER() []byte { return c.der }

// PublicKey is the key, on P-256, for proof.Verify.
func (c *CheckedCSR) PublicKey() *ecdsa.PublicKey { return c.public }

// KeyID is the SHA-256 of the SubjectPublicKeyInfo: the same for every request with this key, so that a retry is known.
func (c *CheckedCSR) KeyID() [sha256.Size]byte { return c.keyID }

// Checked before anything is computed with the key: verification with a huge RSA key is a way to keep a CPU busy, and
// Go accepts SHA-1 in requests.
var signaturesAccepted = []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}

// CheckCSR accepts a PKCS#10 request (RFC 2986) in DER that has an ECDSA key on P-256 and is signed with it.
func CheckCSR(der []byte) (*CheckedCSR, error) {
	if len(der) > MaxCSRSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrCSR, len(der), MaxCSRSize)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a PKCS#10 request in DER", ErrCSR)
	}
	public, err := checkKey(csr.PublicKey)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(signaturesAccepted, csr.SignatureAlgorithm) {
		return nil, fmt.Errorf("%w: it is signed with %v; use SHA-256", ErrCSR, csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: its signature is not by its key", ErrCSR)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: its key cannot be encoded", ErrCSR)
	}
	return &CheckedCSR{der: slices.Clone(der), public: public, keyID: sha256.Sum256(spki)}, nil
}

func checkKey(key crypto.PublicKey) (*ecdsa.PublicKey, error) {
	const want = "use an ECDSA key on P-256"
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return key, nil
		}
		return nil, fmt.Errorf("%w: an ECDSA key on %s; %s", ErrCSR, key.Curve.Params().Name, want)
	case *rsa.PublicKey:
		return nil, fmt.Errorf("%w: an RSA key of %d bits; %s", ErrCSR, key.N.BitLen(), want)
	}
	return nil, fmt.Errorf("%w: another kind of key; %s", ErrCSR, want)
}
