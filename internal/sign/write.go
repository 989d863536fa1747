package sign

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// New puts a statement into an envelope that nobody has signed yet.
func New(s *Statement) (*Envelope, error) {
	payload, err := s.Encode()
	if err != nil {
		return nil, err
	}
	// Whoever reads it is strict; so nobody else is the first to find out.
	if _, err := decodeStatement(payload); err != nil {
		return nil, err
	}
	return &Envelope{PayloadType: PayloadType, Payload: payload, Signatures: []Signature{}}, nil
}

// Add signs an envelope. A key that has signed it already signs no second time; a signature under its hint that does not
// fit is replaced.
func (e *Envelope) Add(key ed25519.PrivateKey) error {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return errors.New("not an ed25519 key")
	}
	if len(signers([]ed25519.PublicKey{public}, e)) > 0 {
		return nil
	}
	kept := []Signature{}
	for _, s := range e.Signatures {
		if s.KeyID != KeyID(public) {
			kept = append(kept, s)
		}
	}
	if len(kept) >= maxSignatures {
		return fmt.Errorf("the envelope has %d signatures already", len(kept))
	}
	e.Signatures = append(kept, Signature{KeyID: KeyID(public), Sig: ed25519.Sign(key, e.signed())})
	return nil
}
