package sign

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// The kinds of refusal, for errors.Is.
var (
	ErrMalformed  = errors.New("malformed")
	ErrSignatures = errors.New("not enough signatures")
	ErrCluster    = errors.New("of another cluster")
	ErrExpired    = errors.New("expired")
	ErrRollback   = errors.New("older than what was seen before")
	// ErrUnlisted is something that an otherwise good statement does not name.
	ErrUnlisted = errors.New("not in the signed statement")
)

// Trust is what a reader was told beforehand, by a way that it trusts: which cluster, and whose word counts.
type Trust struct {
	Cluster string
	Signing manifest.Signing
}

// Seen is what a reader knows of time and history.
type Seen struct {
	Now time.Time
	// Version is the highest that was ever accepted, 0 if none.
	Version uint64
}

// Verify gives the statement of an envelope that is to be believed. Its order matters: nothing of the payload is
// interpreted before the signatures are counted. The errors are faults with a remedy and one of the kinds above.
func (t Trust) Verify(data []byte, seen Seen) (*Statement, error) {
	e, err := Decode(data)
	if err != nil {
		return nil, refuse(ErrMalformed, err.Error(), "fetch or generate the whole directory again, and sign it")
	}
	return t.VerifyEnvelope(e, seen)
}

// VerifyEnvelope is Verify for an envelope that has been decoded.
func (t Trust) VerifyEnvelope(e *Envelope, seen Seen) (*Statement, error) {
	keys, err := Keys(t.Signing)
	if err != nil {
		return nil, refuse(ErrMalformed, "the keys to verify with: "+err.Error(), "correct signing in cluster.yaml, then generate again")
	}
	if n := len(signers(keys, e)); n < t.Signing.Threshold {
		return nil, refuse(ErrSignatures, fmt.Sprintf("the generation is signed by %d of the %d keys that count, %d are needed", n, len(keys), t.Signing.Threshold),
			"sign it: coordinator sign DIR --key FILE, once for each key")
	}
	s, err := decodeStatement(e.Payload)
	if err != nil {
		return nil, refuse(ErrMalformed, err.Error(), "let whoever signs, serves and installs use the same version of this program")
	}
	switch {
	case s.Cluster != t.Cluster || s.ClusterID != t.Signing.ID:
		return nil, refuse(ErrCluster, fmt.Sprintf("the generation is signed for cluster %s (id %s), not for %s (id %s)", s.Cluster, s.ClusterID, t.Cluster, t.Signing.ID),
			"serve the generation of this cluster; look which directory the mirror copies")
	case s.Version < seen.Version:
		return nil, refuse(ErrRollback, fmt.Sprintf("the generation has version %d, and version %d was seen before", s.Version, seen.Version),
			fmt.Sprintf("serve the newest generation and let mirrors copy it; to go back on purpose, sign the old one again: coordinator sign DIR --renew --version %d", seen.Version+1))
	case !seen.Now.Before(s.Expires):
		return nil, refuse(ErrExpired, fmt.Sprintf("the signed statement of generation version %d expired at %s, and it is %s", s.Version, s.Expires.Format(time.RFC3339), seen.Now.UTC().Format(time.RFC3339)),
			"sign again: coordinator sign DIR --renew, then let mirrors copy it; or set the clock of this machine, if that is wrong")
	}
	return s, nil
}

// Signers gives the keys of a signing that have signed the envelope, each once, in the order of the signing.
func Signers(s manifest.Signing, e *Envelope) ([]ed25519.PublicKey, error) {
	keys, err := Keys(s)
	if err != nil {
		return nil, err
	}
	return signers(keys, e), nil
}

// signers counts keys, not signatures: however often and under whatever hint a key has signed, it counts once.
func signers(keys []ed25519.PublicKey, e *Envelope) []ed25519.PublicKey {
	text := e.signed()
	var found []ed25519.PublicKey
	for _, key := range keys {
		for _, s := range e.Signatures {
			if len(s.Sig) == ed25519.SignatureSize && ed25519.Verify(key, text, s.Sig) {
				found = append(found, key)
				break
			}
		}
	}
	return found
}

// Unverified gives the statement of an envelope whoever signed it, for those who sign it or show what it says.
func Unverified(e *Envelope) (*Statement, error) { return decodeStatement(e.Payload) }

// ManifestOf says whether the manifest is the one that the statement has for the role.
func (s *Statement) ManifestOf(role manifest.Role, b manifest.Blob) error {
	if listed, ok := s.Manifests[role]; !ok || listed.Digest != b.Digest || listed.Size != b.Size {
		return refuse(ErrUnlisted, fmt.Sprintf("the manifest %.12s of role %s is not in the signed statement of version %d", b.Digest, role, s.Version),
			"if the mirror has not copied the newest generation yet, wait and retry; otherwise somebody has changed the plan or the directory: coordinator verify DIR")
	}
	return nil
}

func refuse(kind error, what, remedy string) error {
	return fault.New(fault.Denied, remedy, "%s", what).Because(kind)
}
