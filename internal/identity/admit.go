package identity

import (
	"crypto/subtle"
	"errors"
	"net/netip"
	"time"
)

// ErrDenied is everything that somebody with a token that is not admitted gets to know.
var ErrDenied = errors.New("join token denied: it is unknown, expired, used up, or not for this host; get a new one from the operator")

// DenialReason is why a token was denied, for the audit and never for the host.
type DenialReason string

// The reasons, in the order in which they are given when several apply. A right token that is merely used up comes
// last, so that ReasonUsedUp says that all else was well: the retry of a host that enrolled with this token can be
// recognised by its key.
const (
	ReasonUnknown DenialReason = "unknown token"
	ReasonSecret  DenialReason = "wrong secret"
	ReasonExpired DenialReason = "expired"
	ReasonAddress DenialReason = "address outside the token's networks"
	ReasonUsedUp  DenialReason = "no uses left"
)

// Denial is the error of Admit: to everybody ErrDenied in text and for errors.Is, with the reason for errors.As.
type Denial struct {
	Reason DenialReason
	Token  TokenID
}

// Error is the text of ErrDenied, whatever the reason.
func (*Denial) Error() string { return ErrDenied.Error() }

// Unwrap returns ErrDenied.
func (*Denial) Unwrap() error { return ErrDenied }

// Verify says, in constant time, whether the token is the one that this record is of.
func (r TokenRecord) Verify(t Token) bool {
	hash := t.Hash()
	same := subtle.ConstantTimeCompare(r.Hash[:], hash[:])
	named := subtle.ConstantTimeCompare([]byte(r.ID), []byte(t.id))
	return same&named == 1 && t.secret != nil
}

// Admit says whether a token may be used now by somebody at this address, the peer's of the connection and none that
// was told. It changes nothing: the store counts the use. For an ID that is not known, call it on the zero
// TokenRecord, which does the same work and denies.
func (r TokenRecord) Admit(t Token, from netip.Addr, now time.Time) error {
	verified := r.Verify(t)
	expired := !now.Before(r.Expires)
	outside := !r.allows(from)
	usedUp := r.Uses >= r.MaxUses
	for _, rule := range []struct {
		broken bool
		reason DenialReason
	}{
		{r.ID == "" || r.ID != t.id, ReasonUnknown},
		{!verified, ReasonSecret},
		{expired, ReasonExpired},
		{outside, ReasonAddress},
		{usedUp, ReasonUsedUp},
	} {
		if rule.broken {
			return &Denial{Reason: rule.reason, Token: t.id}
		}
	}
	return nil
}

func (r TokenRecord) allows(from netip.Addr) bool {
	if len(r.CIDRs) == 0 {
		return true
	}
	from = from.Unmap().WithZone("") // a dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d
	for _, p := range r.CIDRs {
		if p.Contains(from) {
			return true
		}
	}
	return false
}
