package late

import (
	"encoding/base64"
	"strings"
)

// MaxSecret is the longest value of a secret in bytes: room for a certificate with its chain. Plans with the most
// secrets of the longest size still fit into one message.
const MaxSecret = 32 << 10

const refSecret = "Secret"

// maxSecretName is the longest name of a secret.
const maxSecretName = 63

// SecretRef is the ref of a secret.
func SecretRef(name string) string { return refSecret + "." + name }

// SecretName is the name of the secret that a ref is of.
func SecretName(ref string) (name string, ok bool) {
	name, ok = strings.CutPrefix(ref, refSecret+".")
	return name, ok && ValidSecretName(name)
}

// ValidSecretName says whether a secret can have this name: a word that a template can write after a dot.
func ValidSecretName(s string) bool {
	if s == "" || len(s) > maxSecretName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// SetSecret puts a secret in. What carries values is text (a message, a journal, a file of JSON) while a secret may be
// any bytes, so it stands there in base64; binding takes that off.
func (v Values) SetSecret(name string, value []byte) {
	v[SecretRef(name)] = base64.StdEncoding.EncodeToString(value)
}

// Secrets are the secrets among the values, by name, as the bytes that they are. A damaged one is left out: Validate
// tells of it.
func (v Values) Secrets() map[string]string {
	found := map[string]string{}
	for ref, text := range v {
		if name, ok := SecretName(ref); ok {
			if value, ok := decodeSecret(text); ok {
				found[name] = value
			}
		}
	}
	return found
}

func decodeSecret(text string) (string, bool) {
	if len(text) > base64.StdEncoding.EncodedLen(MaxSecret) {
		return "", false
	}
	value, err := base64.StdEncoding.Strict().DecodeString(text)
	// The decoder skips line ends, so the text is compared, too: a value has one form.
	return string(value), err == nil && len(value) > 0 && len(value) <= MaxSecret &&
		base64.StdEncoding.EncodeToString(value) == text
}

func validSecret(s string) bool {
	_, ok := decodeSecret(s)
	return ok
}

// plainOf is what the encoders of a slot begin with.
func plainOf(ref, value string) string {
	if _, ok := SecretName(ref); ok {
		value, _ = decodeSecret(value)
	}
	return value
}

// secret says whether the value is one.
func (v Value) secret() bool {
	_, ok := SecretName(v.ref)
	return ok
}

// Bare is a secret without an encoder: nobody has thought about what its value may do to the text around it.
func Bare(v Value) bool { return v.secret() && v.encode == "" }

// urlText writes what is not unreserved in a URL (RFC 3986) as a percent escape, so that it can be a user, a password,
// a part of a path or a value of a query.
func urlText(s string) (string, error) {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; letterOrDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upper[c>>4], upper[c&15]})
		}
	}
	return b.String(), nil
}

// HasSecret says whether a text that was rendered in this space has the placeholder of a secret.
func (s *Space) HasSecret(text []byte) bool {
	for rest := string(text); ; {
		_, after, found := strings.Cut(rest, s.marker)
		if !found {
			return false
		}
		if n, _, ok := slotNumber(after); ok && n < len(s.slots) {
			if _, secret := SecretName(s.slots[n].Ref); secret {
				return true
			}
		}
		rest = after
	}
}
