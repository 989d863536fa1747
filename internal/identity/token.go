package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	tokenPrefix   = "mt1"
	tokenIDLength = 12
	secretSize    = 32
	secretLength  = 43
	base32Letters = "abcdefghijklmnopqrstuvwxyz234567"
)

// ErrToken says that a text is not a join token. It never holds the text.
var ErrToken = errors.New("not a join token: want mt1.<12 characters>.<43 characters>, exactly as it was printed")

// TokenID names a join token in lists, events and logs: 12 characters of a-z2-7. It is not secret.
type TokenID string

// SecretHash is the SHA-256 of a token's secret, all that the coordinator keeps of it. It is stored as hexadecimal.
type SecretHash [sha256.Size]byte

// MarshalText encodes the hash as 64 hexadecimal digits.
func (h SecretHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *SecretHash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("the hash of a token has %d digits, want %d", len(text), hex.EncodedLen(len(h)))
	}
	var decoded SecretHash
	if _, err := hex.Decode(decoded[:], text); err != nil {
		return errors.New("the hash of a token is not hexadecimal")
	}
	*h = decoded
	return nil
}

// Token is a join token, mt1.<id>.<secret>. However it is printed, logged or encoded, only the ID shows; Reveal is the
// one way to the text. The zero Token is no token and is never admitted. Tokens cannot be compared or be keys of a map:
// use the ID, and TokenRecord.Verify.
type Token struct {
	id TokenID
	// A function, because fmt does not call the methods of a value in somebody's unexported field, and reads through
	// pointers there for a wrong verb; of a function it has but the address.
	secret func() [secretSize]byte
}

// NewToken draws a token from random, crypto/rand.Reader outside of tests: 60 bits of ID, 256 bits of secret.
func NewToken(random io.Reader) (Token, error) {
	var id [tokenIDLength]byte
	var secret [secretSize]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return Token{}, fmt.Errorf("drawing a join token: %w", err)
	}
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return Token{}, fmt.Errorf("drawing a join token: %w", err)
	}
	for i := range id {
		id[i] = base32Letters[id[i]%byte(len(base32Letters))] // 32 divides 256: no bias
	}
	return makeToken(TokenID(id[:]), secret), nil
}

// ParseToken accepts exactly the texts that Reveal returns: each token has one.
func ParseToken(text string) (Token, error) {
	if len(text) != len(tokenPrefix)+1+tokenIDLength+1+secretLength {
		return Token{}, ErrToken
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != tokenPrefix || len(parts[1]) != tokenIDLength || strings.Trim(parts[1], base32Letters) != "" {
		return Token{}, ErrToken
	}
	// Strict refuses stray bits after the last byte, which RFC 4648, 3.5 lets a decoder ignore; line ends are passed
	// over even so, and then too few bytes are left.
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(decoded) != secretSize {
		return Token{}, ErrToken
	}
	return makeToken(TokenID(parts[1]), [secretSize]byte(decoded)), nil
}

func makeToken(id TokenID, secret [secretSize]byte) Token {
	return Token{id, func() [secretSize]byte { return secret }}
}

// ID names the token without giving it away.
func (t Token) ID() TokenID { return t.id }

// Reveal returns the token's text, the secret included; empty for the zero Token.
func (t Token) Reveal() string {
	if t.secret == nil {
		return ""
	}
	secret := t.secret()
	return tokenPrefix + "." + string(t.id) + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}

// Hash is what to store and compare instead of the secret.
func (t Token) Hash() SecretHash {
	var secret [secretSize]byte
	if t.secret != nil { // if not, the same work is done, and TokenRecord.Verify refuses
		secret = t.secret()
	}
	return sha256.Sum256(secret[:])
}

// String shows the ID and that there is more.
func (t Token) String() string { return tokenPrefix + "." + string(t.id) + ".[secret]" }

// Format prints String for every verb, %#v and %x among them.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText makes JSON, YAML and structured logs show String. There is no way back from it.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
