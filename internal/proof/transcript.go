package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// ExporterLabel names the TLS exporter (RFC 8446, 7.5) that binds a proof to its connection.
	ExporterLabel = "EXPORTER-muster-enrolment"
	// ExporterLength is the length of the exporter's value in bytes.
	ExporterLength = 32
	// NonceSize is the length of the coordinator's challenge in bytes.
	NonceSize = 32
)

// transcriptDomain keeps a transcript apart from everything else that the same key signs: a certificate request begins
// with 0x30, a TLS 1.3 CertificateVerify with 64 spaces.
const transcriptDomain = "muster enrolment transcript v1\x00"

// ErrProof says that a signature does not prove possession of the key.
var ErrProof = errors.New("proof of possession is not valid")

// Transcript is what a host signs when it enrols: the coordinator's nonce makes the proof fresh, the exporter binds it
// to this connection, the request to this key, the method to how the right to join is proven. Each part is preceded by
// its length, so no two sets of parts have the same transcript.
func Transcript(nonce, exporter, csrDER []byte, method string) []byte {
	parts := [][]byte{nonce, exporter, csrDER, []byte(method)}
	size := len(transcriptDomain)
	for _, p := range parts {
		size += 8 + len(p)
	}
	t := append(make([]byte, 0, size), transcriptDomain...)
	for _, p := range parts {
		t = binary.BigEndian.AppendUint64(t, uint64(len(p)))
		t = append(t, p...)
	}
	return t
}

// Exporter returns the value that is the same on both ends of this TLS connection and on no other. It refuses TLS
// before 1.3, where a man in the middle could make two connections share it (RFC 7627).
func Exporter(state *tls.ConnectionState) ([]byte, error) {
	if state == nil || !state.HandshakeComplete || state.Version < tls.VersionTLS13 {
		return nil, errors.New("enrolment needs an established TLS 1.3 connection")
	}
	value, err := state.ExportKeyingMaterial(ExporterLabel, nil, ExporterLength)
	if err != nil {
		return nil, fmt.Errorf("binding the proof to the connection: %w", err)
	}
	return value, nil
}

// Sign signs a transcript with the key of the request.
func Sign(key *ecdsa.PrivateKey, transcript []byte) ([]byte, error) {
	digest := sha256.Sum256(transcript)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("signing the proof of possession: %w", err)
	}
	return sig, nil
}

// Verify checks a signature of Sign. Another key, transcript or signature, or a key that is not on P-256, is ErrProof.
func Verify(pub *ecdsa.PublicKey, transcript, sig []byte) error {
	digest := sha256.Sum256(transcript)
	if pub == nil || pub.Curve != elliptic.P256() || !ecdsa.VerifyASN1(pub, digest[:], sig) {
		return ErrProof
	}
	return nil
}
