package sign_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/sign"
)

// Whatever keys sign, however often, in whichever order and under whichever hints: it is believed exactly when the number
// of different trusted keys among them reaches the threshold.
func TestThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trusted := rapid.SliceOfNDistinct(rapid.ByteRange(1, 8), 1, 6, rapid.ID[byte]).Draw(t, "trusted")
		threshold := rapid.IntRange(1, len(trusted)).Draw(t, "threshold")
		signers := rapid.SliceOfN(rapid.ByteRange(1, 12), 0, 10).Draw(t, "signers")

		e, err := sign.New(statement())
		if err != nil {
			t.Fatal(err)
		}
		var all []sign.Signature
		for _, n := range signers {
			one, err := sign.New(statement())
			if err != nil {
				t.Fatal(err)
			}
			if err := one.Add(key(n)); err != nil {
				t.Fatal(err)
			}
			s := one.Signatures[0]
			switch rapid.IntRange(0, 4).Draw(t, "what happens to it") {
			case 0:
				s.KeyID = ""
			case 1:
				s.KeyID = sign.KeyID([]byte{n})
			case 2:
				all = append(all, s) // twice
			case 3:
				all = append(all, sign.Signature{KeyID: s.KeyID, Sig: s.Sig[1:]})
			}
			all = append(all, s)
		}
		e.Signatures = rapid.Permutation(all).Draw(t, "order")

		count := 0
		for _, n := range trusted {
			if slices.Contains(signers, n) {
				count++
			}
		}
		_, err = sign.Trust{Cluster: "demo", Signing: signing(threshold, trusted...)}.VerifyEnvelope(e, sign.Seen{Now: now})
		if (err == nil) != (count >= threshold) {
			t.Fatalf("%d of %d keys signed, %d are needed: %v", count, len(trusted), threshold, err)
		}
	})
}
