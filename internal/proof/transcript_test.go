package proof_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/proof"
)

func TestTranscriptIsDifferentForDifferentParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few letters and short parts: collisions, if there are any, lie where bytes move from one part to the next.
		part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 8, 'a'}), 0, 12)
		type parts struct{ nonce, exporter, csr, method string }
		draw := func(name string) parts {
			return parts{string(part.Draw(t, name+" nonce")), string(part.Draw(t, name+" exporter")),
				string(part.Draw(t, name+" CSR")), string(part.Draw(t, name+" method"))}
		}
		write := func(p parts) []byte {
			return proof.Transcript([]byte(p.nonce), []byte(p.exporter), []byte(p.csr), p.method)
		}
		one, two := draw("first"), draw("second")
		if same := bytes.Equal(write(one), write(two)); same != (one == two) {
			t.Fatalf("transcripts equal: %v, parts %q and %q", same, one, two)
		}
	})
}

func TestTranscriptIsDifferentWhenBytesMoveBetweenParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "bytes")
		cut := func(name string) [3]int {
			a := rapid.IntRange(0, len(all)).Draw(t, name+" a")
			b := rapid.IntRange(a, len(all)).Draw(t, name+" b")
			return [3]int{a, b, rapid.IntRange(b, len(all)).Draw(t, name+" c")}
		}
		write := func(c [3]int) []byte {
			return proof.Transcript(all[:c[0]], all[c[0]:c[1]], all[c[1]:c[2]], string(all[c[2]:]))
		}
		one, two := cut("first"), cut("second")
		if same := bytes.Equal(write(one), write(two)); same != (one == two) {
			t.Fatalf("transcripts equal: %v, cuts %v and %v", same, one, two)
		}
	})
}

func TestSignatureProvesPossession(t *testing.T) {
	transcript := proof.Transcript(make([]byte, proof.NonceSize), make([]byte, proof.ExporterLength), []byte("csr"), "token")
	key := newKey(t)
	sig, err := proof.Sign(key, transcript)
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.Verify(&key.PublicKey, transcript, sig); err != nil {
		t.Error(err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	key := newKey(t)
	nonce, exporter, csr := make([]byte, proof.NonceSize), make([]byte, proof.ExporterLength), []byte("csr")
	transcript := proof.Transcript(nonce, exporter, csr, "token")
	sig, err := proof.Sign(key, transcript)
	if err != nil {
		t.Fatal(err)
	}
	otherNonce, otherExporter := bytes.Clone(nonce), bytes.Clone(exporter)
	otherNonce[31]++
	otherExporter[0]++
	changed := bytes.Clone(sig)
	changed[len(changed)-1] ^= 1
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weakSig, err := proof.Sign(p224, transcript)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key        *ecdsa.PublicKey
		transcript []byte
		sig        []byte
	}{
		"a replay under another nonce":   {&key.PublicKey, proof.Transcript(otherNonce, exporter, csr, "token"), sig},
		"a replay on another connection": {&key.PublicKey, proof.Transcript(nonce, otherExporter, csr, "token"), sig},
		"another request":                {&key.PublicKey, proof.Transcript(nonce, exporter, []byte("CSR"), "token"), sig},
		"another method":                 {&key.PublicKey, proof.Transcript(nonce, exporter, csr, "aws"), sig},
		"another key":                    {&newKey(t).PublicKey, transcript, sig},
		"no signature":                   {&key.PublicKey, transcript, nil},
		"a changed signature":            {&key.PublicKey, transcript, changed},
		"bytes after the signature":      {&key.PublicKey, transcript, append(bytes.Clone(sig), 0)},
		"a key of no curve":              {&ecdsa.PublicKey{}, transcript, sig},
		"no key":                         {nil, transcript, sig},
		"a key on P-224":                 {&p224.PublicKey, transcript, weakSig},
	} {
		t.Run(name, func(t *testing.T) {
			if err := proof.Verify(c.key, c.transcript, c.sig); !errors.Is(err, proof.ErrProof) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestExporterRefusesWhatIsNotTLS13(t *testing.T) {
	for name, state := range map[string]*tls.ConnectionState{
		"no connection":             nil,
		"an unfinished handshake":   {Version: tls.VersionTLS13},
		"TLS 1.2":                   {Version: tls.VersionTLS12, HandshakeComplete: true},
		"a state without a session": {},
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := proof.Exporter(state); err == nil || v != nil {
				t.Errorf("got %x, %v", v, err)
			}
		})
	}
}
