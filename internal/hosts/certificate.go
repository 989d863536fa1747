package hosts

import (
	"slices"
	"time"
)

// Certificate is one that a host was given.
type Certificate struct {
	Serial string `json:"serial"`
	// Key is the SHA-256 of its public key, Issuer the identity of the intermediate that signed it.
	Key    string `json:"key"`
	Issuer string `json:"issuer,omitempty"`
}

// maxNext bounds the certificates that were issued and never seen. A host has one renewal under way; more are answers that
// got lost.
const maxNext = 8

// Quarantine is why none of a host's certificates is taken until an operator has decided.
type Quarantine struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	Remedy string    `json:"remedy"`
}

// Good says whether a certificate may be shown: it is the one in use, or one that was issued since.
func (h *Host) Good(serial string) bool {
	return serial != "" && (serial == h.Certificate.Serial || slices.ContainsFunc(h.Next, func(c Certificate) bool { return c.Serial == serial }))
}

// Issue notes a certificate that is on its way to the host. All that were issued since the one in use are good until one of
// them is seen: which of the answers arrived only the host knows. It answers the keys that the host comes back by no more.
func (h *Host) Issue(c Certificate) (gone []string) {
	next := append(slices.Clone(h.Next), c)
	before := h.keys()
	h.Next = next[max(0, len(next)-maxNext):]
	return h.missing(before)
}

// Use makes a certificate of Next the one in use; whatever else was issued is good no more. It answers the keys that the
// host comes back by no more.
func (h *Host) Use(serial string) (gone []string) {
	i := slices.IndexFunc(h.Next, func(c Certificate) bool { return c.Serial == serial })
	if i < 0 {
		return nil
	}
	before := h.keys()
	h.Certificate, h.Next = h.Next[i], nil
	return h.missing(before)
}

func (h *Host) keys() []string {
	keys := []string{h.Certificate.Key}
	for _, c := range h.Next {
		keys = append(keys, c.Key)
	}
	return keys
}

func (h *Host) missing(before []string) (gone []string) {
	now := h.keys()
	for _, key := range before {
		if !slices.Contains(now, key) && !slices.Contains(gone, key) {
			gone = append(gone, key)
		}
	}
	return gone
}
