package proof

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const keyBlock = "PRIVATE KEY" // RFC 5958 in the textual encoding of RFC 7468

// NewKey makes a host's key. Every certificate, renewed ones too, gets a fresh one.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// CSR makes a certificate request, in DER, that says nothing but the key: whatever else a host would put into it is
// ignored by the coordinator.
func CSR(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return der, nil
}

// MarshalKey encodes a key as PKCS#8 in PEM. The result is secret: mode 0600.
func MarshalKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// ParseKey reads what MarshalKey wrote: one PEM block with a P-256 key and nothing else. Its errors hold nothing of the
// input.
func ParseKey(text []byte) (*ecdsa.PrivateKey, error) {
	der, err := onlyBlock(text, keyBlock)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("not a key in PKCS#8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not an ECDSA key on P-256")
	}
	return key, nil
}

// onlyBlock returns the bytes of a text's one PEM block. A second block or any other text is an error, because a
// reader that skips what it does not understand can be made to read another block than a person sees.
func onlyBlock(text []byte, kind string) ([]byte, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("empty")
	}
	if !bytes.HasPrefix(text, []byte("-----BEGIN "+kind+"-----")) {
		return nil, fmt.Errorf("does not begin with a PEM block %q", kind)
	}
	// Counted before decoding: the decoder passes over a damaged block to the next one.
	if bytes.Count(text, []byte("-----BEGIN ")) > 1 {
		return nil, fmt.Errorf("more than one PEM block, want one %q", kind)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(block.Headers) > 0 {
		return nil, fmt.Errorf("PEM block %q is damaged", kind)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("text after the PEM block %q", kind)
	}
	return block.Bytes, nil
}
