package sign_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"muster/internal/sign"
)

// theirs is a key as the DSSE library wants it.
type theirs struct{ ed25519.PrivateKey }

func (k theirs) public() ed25519.PublicKey { return k.PrivateKey.Public().(ed25519.PublicKey) }

func (k theirs) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(k.PrivateKey, data), nil
}

func (k theirs) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(k.public(), data, sig) {
		return errors.New("another signature")
	}
	return nil
}

func (k theirs) KeyID() (string, error) { return sign.KeyID(k.public()), nil }

func (k theirs) Public() crypto.PublicKey { return k.public() }

// What is written here is DSSE, and DSSE that others write is read here.
func TestAnotherImplementationAgrees(t *testing.T) {
	var e dsse.Envelope
	if err := json.Unmarshal(encode(t, signedByTwo(t)), &e); err != nil {
		t.Fatal(err)
	}
	verifier, err := dsse.NewMultiEnvelopeVerifier(2, theirs{key(1)}, theirs{key(2)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(t.Context(), &e); err != nil {
		t.Error(err)
	}

	signer, err := dsse.NewEnvelopeSigner(theirs{key(1)}, theirs{key(2)})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := statement().Encode()
	if err != nil {
		t.Fatal(err)
	}
	made, err := signer.SignPayload(t.Context(), sign.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (sign.Trust{Cluster: "demo", Signing: signing(2, 1, 2)}).Verify(data, sign.Seen{Now: now}); err != nil {
		t.Error(err)
	}
}
