package identity

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"muster/internal/manifest"
)

const (
	// DefaultTokenTTL is how long a token can be used if nothing else was said.
	DefaultTokenTTL = 30 * time.Minute
	// MaxTokenTTL is the longest that a token can be used.
	MaxTokenTTL = 24 * time.Hour
)

// TokenRecord is what the coordinator keeps of a join token: its hash, and what the token is good for. The store
// increases Uses in the transaction that creates the host.
type TokenRecord struct {
	ID   TokenID    `json:"id"`
	Hash SecretHash `json:"hash"`
	// Role is what hosts with this token become; empty leaves it to the other rules.
	Role manifest.Role `json:"role,omitempty"`
	// Host is the name or address of the one host that the token is for; empty if for any.
	Host   string            `json:"host,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// CIDRs are the networks that the token may be used from; none for anywhere.
	CIDRs   []netip.Prefix `json:"cidrs,omitempty"`
	MaxUses int            `json:"max_uses"`
	Uses    int            `json:"uses"`
	Expires time.Time      `json:"expires"`
	Created time.Time      `json:"created"`
}

// TokenSpec is what an operator asks of a new token. TTL 0 is DefaultTokenTTL.
type TokenSpec struct {
	Role    manifest.Role
	Host    string
	Labels  map[string]string
	CIDRs   []netip.Prefix
	MaxUses int
	TTL     time.Duration
}

// NewRecord makes the record of a new token, or says everything that is wrong with the spec. Whether the role exists,
// and may be given by a token of several uses, is for the caller to judge.
func NewRecord(token Token, spec TokenSpec, now time.Time) (TokenRecord, error) {
	if spec.TTL == 0 {
		spec.TTL = DefaultTokenTTL
	}
	if err := checkSpec(token, spec); err != nil {
		return TokenRecord{}, err
	}
	now = now.UTC()
	return TokenRecord{
		ID:      token.ID(),
		Hash:    token.Hash(),
		Role:    spec.Role,
		Host:    spec.Host,
		Labels:  maps.Clone(spec.Labels),
		CIDRs:   slices.Clone(spec.CIDRs),
		MaxUses: spec.MaxUses,
		Expires: now.Add(spec.TTL),
		Created: now,
	}, nil
}

func checkSpec(token Token, spec TokenSpec) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if token.secret == nil {
		wrong("join token: it is empty; make one with NewToken")
	}
	if spec.TTL < 0 || spec.TTL > MaxTokenTTL {
		wrong("join token: lifetime %v; choose one up to %v", spec.TTL, MaxTokenTTL)
	}
	if spec.MaxUses < 1 {
		wrong("join token: %d uses; choose at least 1", spec.MaxUses)
	}
	if spec.Host != "" && spec.MaxUses > 1 {
		wrong("join token: %d uses for the one host %.80q; choose 1 use, or no host", spec.MaxUses, spec.Host)
	}
	if len(spec.Host) > 253 || !printable(spec.Host) {
		wrong("join token: %.80q is not a host's name or address", spec.Host)
	}
	if spec.Role != "" && checkLabel(string(spec.Role)) != nil {
		wrong("join token: %.80q is not the name of a role", spec.Role)
	}
	for _, key := range slices.Sorted(maps.Keys(spec.Labels)) {
		if value := spec.Labels[key]; key == "" || len(key) > 63 || len(value) > 253 || !printable(key+value) {
			wrong("join token: label %.80q=%.80q; use printable ASCII without spaces, at most 63 and 253 characters", key, value)
		}
	}
	for _, p := range spec.CIDRs {
		switch {
		case !p.IsValid():
			wrong("join token: a network is not in the form of address/bits, such as 10.0.0.0/16")
		case p.Addr().Is4In6():
			wrong("join token: network %v; write it as IPv4", p)
		case p != p.Masked():
			wrong("join token: network %v has bits after its prefix; write %v", p, p.Masked())
		}
	}
	return errors.Join(problems...)
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
