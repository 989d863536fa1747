package proof_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"muster/internal/proof"
)

func TestKeySurvivesItsFile(t *testing.T) {
	key := newKey(t)
	text, err := proof.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, []byte("-----BEGIN PRIVATE KEY-----\n")) {
		t.Errorf("not PKCS#8 in PEM: %.30s", text)
	}
	again, err := proof.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Equal(key) {
		t.Error("another key came back")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good, err := proof.MarshalKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"an empty file":            {},
		"only white space":         []byte(" \n\n"),
		"zeros":                    make([]byte, 240),
		"half a file":              good[:len(good)/2],
		"one changed line":         bytes.Replace(good, good[40:60], []byte("AAAAAAAAAAAAAAAAAAAA"), 1),
		"two keys":                 append(bytes.Clone(good), good...),
		"text before":              append([]byte("key:\n"), good...),
		"text after":               append(bytes.Clone(good), "key"...),
		"a damaged block before":   append([]byte("-----BEGIN PRIVATE KEY-----\n***\n"), good...),
		"a header in the block":    bytes.Replace(good, []byte("KEY-----\n"), []byte("KEY-----\nA: b\n\n"), 1),
		"another kind of block":    bytes.ReplaceAll(good, []byte("PRIVATE"), []byte("PUBLIC")),
		"a key on P-384":           pkcs8(t, p384),
		"an Ed25519 key":           pkcs8(t, ed),
		"PKCS#8 that is not a key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}}),
	} {
		t.Run(name, func(t *testing.T) {
			key, err := proof.ParseKey(text)
			if err == nil || key != nil {
				t.Fatalf("accepted, error %v", err)
			}
			if len(text) > 80 && strings.Contains(err.Error(), string(text[40:60])) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestCSRSaysNothingButTheKey(t *testing.T) {
	key := newKey(t)
	der, err := proof.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
	if !key.PublicKey.Equal(csr.PublicKey) {
		t.Error("it has another key")
	}
	if csr.Subject.String() != "" || len(csr.Extensions) > 0 {
		t.Errorf("it asks for %q and %d extensions", csr.Subject, len(csr.Extensions))
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := proof.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
