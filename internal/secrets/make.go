package secrets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strings"

	"muster/internal/manifest"
)

// SeedSize is the length of the seed of a secret that every host has its own value of.
const SeedSize = 32

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	symbols = "-_.+@%:,=~^" // none that is special in quotes, in a shell's double quotes, or to systemd's encoder
)

// Make makes a value with at least 8 × recipe.Bytes bits of what random gives.
func Make(recipe manifest.Recipe, random io.Reader) ([]byte, error) {
	switch recipe.Format {
	case "base64url", "hex":
		raw := make([]byte, recipe.Bytes)
		if _, err := io.ReadFull(random, raw); err != nil {
			return nil, err
		}
		if recipe.Format == "hex" {
			return []byte(hex.EncodeToString(raw)), nil
		}
		return []byte(base64.RawURLEncoding.EncodeToString(raw)), nil
	case "alphanumeric":
		return pick(lower+upper+digits, recipe.Bytes, random)
	case "password":
		for {
			// What rules about passwords ask for. Of the shortest ones about one in seven lacks a symbol.
			value, err := pick(lower+upper+digits+symbols, recipe.Bytes, random)
			if err != nil || hasAll(string(value), lower, upper, digits, symbols) {
				return value, err
			}
		}
	}
	return nil, fmt.Errorf("unknown format %q", recipe.Format)
}

// pick draws letters until they are worth so many bytes.
func pick(alphabet string, bytes int, random io.Reader) ([]byte, error) {
	length := int(math.Ceil(float64(8*bytes) / math.Log2(float64(len(alphabet)))))
	// Bytes above the last whole multiple would make the first letters likelier.
	limit := 256 - 256%len(alphabet)
	value := make([]byte, 0, length)
	var b [1]byte
	for len(value) < length {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, err
		}
		if int(b[0]) < limit {
			value = append(value, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return value, nil
}

func hasAll(value string, sets ...string) bool {
	for _, set := range sets {
		if !strings.ContainsAny(value, set) {
			return false
		}
	}
	return true
}

// Derive makes a host's own value. Nobody who has some hosts' values learns anything of another's.
func Derive(seed []byte, recipe manifest.Recipe, name, host string) ([]byte, error) {
	return Make(recipe, &stream{key: seed, label: fmt.Sprintf("muster secret of a host\n%q\n%q\n", name, host)})
}

// stream is HMAC-SHA256 in counter mode: as many bytes as are wanted, the same ones for the same key and label.
type stream struct {
	key   []byte
	label string
	next  uint64
	rest  []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(s.label))
		mac.Write(binary.BigEndian.AppendUint64(nil, s.next))
		s.next++
		s.rest = mac.Sum(nil)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
