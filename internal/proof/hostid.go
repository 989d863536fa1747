package proof

import (
	"fmt"
	"io"
	"strings"

	"muster/internal/hosts"
)

// HostID names a host for as long as it is known to a cluster. It is h- followed by 13 characters of lower-case base32
// (RFC 4648, a-z and 2-7). Every such string is a distinct ID: there is no second spelling of one.
type HostID = hosts.ID

const (
	hostIDPrefix = "h-"
	hostIDLength = 13
	alphabet     = "abcdefghijklmnopqrstuvwxyz234567"
)

// NewHostID draws a host ID from random, crypto/rand.Reader outside of tests. 65 random bits: among a million hosts a
// collision has a probability of 1 in 70 million.
func NewHostID(random io.Reader) (HostID, error) {
	var b [hostIDLength]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("drawing a host ID: %w", err)
	}
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))] // 32 divides 256: no bias
	}
	return HostID(hostIDPrefix + string(b[:])), nil
}

// ParseHostID accepts exactly what NewHostID makes.
func ParseHostID(s string) (HostID, error) {
	body, ok := strings.CutPrefix(s, hostIDPrefix)
	if !ok || len(body) != hostIDLength || strings.Trim(body, alphabet) != "" {
		return "", fmt.Errorf("%.40q is not a host ID: want %s and %d characters of a-z2-7", s, hostIDPrefix, hostIDLength)
	}
	return HostID(s), nil
}
