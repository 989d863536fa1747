package sign

import (
	"encoding/json"
	"errors"
	"fmt"

	"muster/internal/manifest"
)

// File is where a generation has its envelope, relative to its directory or URL.
const File = "generation.dsse.json"

// PayloadType is what the envelope holds; it is signed along, so that nothing else that the same key signed passes for a
// statement.
const PayloadType = "application/vnd.muster.generation+json"

const (
	// MaxSize is the longest envelope that is read. A hostile mirror could send any amount.
	MaxSize = 1 << 20
	// maxSignatures bounds the work that an envelope can make.
	maxSignatures = 64
)

// Envelope is a statement's bytes with the signatures over them. Nothing of the payload may be used before it has been
// verified.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is by the key that KeyID hints at. The hint is not signed; nothing is decided by it.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// Decode reads an envelope, and only in the form that Encode writes: no two programs may read one differently.
func Decode(data []byte) (*Envelope, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("the envelope has more than %d bytes", MaxSize)
	}
	e := new(Envelope)
	if err := manifest.Decode(data, e); err != nil {
		return nil, fmt.Errorf("the envelope: %w", err)
	}
	switch {
	case e.PayloadType != PayloadType:
		return nil, fmt.Errorf("the envelope holds %.80q, not %q", e.PayloadType, PayloadType)
	case len(e.Payload) == 0:
		return nil, errors.New("the envelope is empty")
	case len(e.Signatures) > maxSignatures:
		return nil, fmt.Errorf("the envelope has %d signatures, more than %d", len(e.Signatures), maxSignatures)
	}
	return e, nil
}

// Encode gives the envelope's one form.
func (e *Envelope) Encode() ([]byte, error) {
	if e.Signatures == nil {
		e.Signatures = []Signature{}
	}
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, err
	}
	if data = append(data, '\n'); len(data) > MaxSize {
		return nil, fmt.Errorf("the envelope has %d bytes, more than %d", len(data), MaxSize)
	}
	return data, nil
}

// signed is DSSE's pre-authentication encoding: what the signatures are over. The lengths keep one pair of type and
// payload from looking like another.
func (e *Envelope) signed() []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(e.PayloadType), e.PayloadType, len(e.Payload))
	return append([]byte(head), e.Payload...)
}
