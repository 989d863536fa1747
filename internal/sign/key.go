package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"muster/internal/manifest"
)

// MaxKeys bounds the keys of one cluster: they have to fit into user-data.
const MaxKeys = 16

// ParseKey reads a public key: 32 bytes in standard base64, which are 44 characters.
func ParseKey(text string) (ed25519.PublicKey, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize || EncodeKey(raw) != text {
		return nil, errors.New("not an ed25519 public key in base64, which has 44 characters")
	}
	if weak(raw) {
		return nil, errors.New("not a key: anybody can make signatures that fit it")
	}
	return raw, nil
}

// EncodeKey gives a public key in the form that ParseKey reads.
func EncodeKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

// KeyID is the hint by which an envelope names a key.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// weak says whether a key is a point of small order: one signature then fits many messages. Whoever slips such a key
// into a list of keys needs no private one.
func weak(key []byte) bool {
	plain := bytes.Clone(key)
	plain[31] &= 0x7f // the sign bit
	for _, point := range smallOrder {
		if bytes.Equal(plain, point) {
			return true
		}
	}
	return false
}

// smallOrder are the encodings, without the sign bit, of the points whose order divides 8.
var smallOrder = [][]byte{
	unhex("0000000000000000000000000000000000000000000000000000000000000000"),
	unhex("0100000000000000000000000000000000000000000000000000000000000000"),
	unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
	unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
	unhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	unhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	unhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant above
	}
	return b
}

// Keys gives the keys of a cluster's signing, or says what is wrong with the signing.
func Keys(s manifest.Signing) ([]ed25519.PublicKey, error) {
	switch {
	case !manifest.IsLabel(s.ID):
		return nil, fmt.Errorf("the cluster id %.80q is not a DNS label", s.ID)
	case len(s.Keys) == 0 || len(s.Keys) > MaxKeys:
		return nil, fmt.Errorf("%d keys, wanted are 1 to %d", len(s.Keys), MaxKeys)
	case s.Threshold < 1 || s.Threshold > len(s.Keys):
		return nil, fmt.Errorf("a threshold of %d with %d keys", s.Threshold, len(s.Keys))
	case s.Expires < 0 || s.Expires > MaxExpires:
		return nil, fmt.Errorf("statements that expire after %v", s.Expires)
	}
	keys := make([]ed25519.PublicKey, len(s.Keys))
	seen := make(map[string]bool, len(s.Keys))
	for i, text := range s.Keys {
		key, err := ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %.80q: %w", text, err)
		}
		if seen[text] {
			return nil, fmt.Errorf("key %s is listed twice", text)
		}
		keys[i], seen[text] = key, true
	}
	return keys, nil
}

const (
	// DefaultExpires is long enough for a monthly round of signing.
	DefaultExpires = 720 * time.Hour
	// MaxExpires is what still limits a freeze.
	MaxExpires = 10 * 366 * 24 * time.Hour
)
