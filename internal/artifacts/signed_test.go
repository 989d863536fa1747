package artifacts_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

var noon = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func signKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func publicKey(n byte) string { return sign.EncodeKey(signKey(n).Public().(ed25519.PublicKey)) }

// trusting adds signing with these keys to cluster.yaml.
func (s site) trusting(threshold int, keys ...byte) {
	s.t.Helper()
	var list []string
	for _, n := range keys {
		list = append(list, publicKey(n))
	}
	data, err := os.ReadFile(s.path("demo/cluster.yaml"))
	s.must(err)
	text, _, _ := strings.Cut(string(data), "signing:")
	s.write("demo/cluster.yaml", text+fmt.Sprintf("signing: {keys: [%s], threshold: %d, expires: 720h}\n", strings.Join(list, ", "), threshold))
}

// signed generates at a time with these keys.
func (s site) signed(at time.Time, keys ...byte) *manifest.Generation {
	s.t.Helper()
	g, err := artifacts.Generate(s.t.Context(), s.load(), s.signing(at, keys...))
	s.must(err)
	return g
}

func (s site) signing(at time.Time, keys ...byte) artifacts.Options {
	opts := s.options()
	opts.Now = at
	for _, n := range keys {
		opts.SignKeys = append(opts.SignKeys, signKey(n))
	}
	return opts
}

func (s site) statement() *sign.Statement {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.out(), sign.File))
	s.must(err)
	e, err := sign.Decode(data)
	s.must(err)
	st, err := sign.Unverified(e)
	s.must(err)
	return st
}

func TestSigningChangesOnlyTheEnvelope(t *testing.T) {
	first, second := newSite(t), newSite(t)
	for _, s := range []site{first, second} {
		s.trusting(2, 1, 2)
	}
	first.signed(noon, 1, 2)
	second.signed(noon.Add(time.Hour))
	without := func(s site) string {
		s.must(os.Remove(filepath.Join(s.out(), sign.File)))
		return list(t, s.out())
	}
	if a, b := without(first), without(second); a != b {
		t.Errorf("got\n%s\nand\n%s", a, b)
	}
}

func TestVersionsFollowEachOther(t *testing.T) {
	s := newSite(t)
	s.trusting(1, 1)
	s.signed(noon, 1)
	if v := s.statement().Version; v != 1 {
		t.Errorf("the first has version %d", v)
	}
	before, err := os.ReadFile(filepath.Join(s.out(), sign.File))
	s.must(err)
	s.signed(noon.Add(time.Hour))
	if after, err := os.ReadFile(filepath.Join(s.out(), sign.File)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the same generation again lost its signature: %v", err)
	}
	s.signed(noon.Add(400*time.Hour), 1)
	if st := s.statement(); st.Version != 2 || !st.Expires.Equal(noon.Add(1120*time.Hour)) {
		t.Errorf("one that is about to expire is stated anew as version %d until %v", st.Version, st.Expires)
	}
	s.edit("demo/cluster.yaml", "roles:", "parameters: {port: 4001}\nroles:")
	s.signed(noon, 1)
	if v := s.statement().Version; v != 3 {
		t.Errorf("another generation has version %d", v)
	}
	opts := s.signing(noon, 1)
	opts.Version = 2
	if _, err := artifacts.Generate(t.Context(), s.load(), opts); err == nil {
		t.Error("the version goes back")
	}
	opts.Version = 40
	_, err = artifacts.Generate(t.Context(), s.load(), opts)
	s.must(err)
	if v := s.statement().Version; v != 40 {
		t.Errorf("a version that was asked for is %d", v)
	}
}

func TestKeysThatDoNotCountAreNotSignedWith(t *testing.T) {
	s := newSite(t)
	_, err := artifacts.Generate(t.Context(), s.load(), s.signing(noon, 1))
	if err == nil || !strings.Contains(fault.Remedy(err), publicKey(1)) {
		t.Errorf("without signing in cluster.yaml: %v", err)
	}
	s.trusting(1, 1)
	if _, err := artifacts.Generate(t.Context(), s.load(), s.signing(noon, 2)); err == nil {
		t.Error("a stranger signs")
	}
}

func TestTheKeyCanBeElsewhere(t *testing.T) {
	s := newSite(t)
	s.trusting(2, 1, 2, 3)
	s.signed(noon)
	state := s.path("state")
	s.must(os.MkdirAll(state, 0o700))
	serve := func() error {
		a, err := artifacts.OpenAdmission(filepath.Join(state, "signing.json"), noon)
		s.must(err)
		_, err = artifacts.ImportAdmitted(t.Context(), s.out(), filepath.Join(state, "artifacts"), a)
		return err
	}
	for n, key := range []byte{3, 3, 1} {
		if err := serve(); !errors.Is(err, sign.ErrSignatures) || !strings.Contains(fault.Remedy(err), "coordinator sign") {
			t.Fatalf("after %d signatures: %v", n, err)
		}
		_, _, err := artifacts.Sign(s.out(), artifacts.SignOptions{Keys: []ed25519.PrivateKey{signKey(key)}, Now: noon})
		s.must(err)
	}
	s.must(serve())
	if _, _, err := artifacts.Sign(s.out(), artifacts.SignOptions{Keys: []ed25519.PrivateKey{signKey(1)}, Now: noon.Add(1000 * time.Hour)}); !errors.Is(err, sign.ErrExpired) {
		t.Errorf("an expired statement is signed: %v", err)
	}
	st, signers, err := artifacts.Sign(s.out(), artifacts.SignOptions{Keys: []ed25519.PrivateKey{signKey(2)}, Renew: true, Now: noon.Add(1000 * time.Hour)})
	if err != nil || st.Version != 2 || len(signers) != 1 {
		t.Errorf("renewed: %+v, %d signers, %v", st, len(signers), err)
	}
}

// Negative case 10, at the coordinator.
func TestGenerationsThatAreNotServed(t *testing.T) {
	day := 24 * time.Hour
	tests := map[string]struct {
		// next comes after a good version 1 by key 1 was served, at 12:00 on the first day.
		next func(s site)
		at   time.Time
		want error
	}{
		"not signed":        {func(s site) { s.change(); s.signed(noon) }, noon, sign.ErrSignatures},
		"signed by another": {func(s site) { s.trusting(1, 2); s.signed(noon, 2) }, noon, sign.ErrSignatures},
		"signing given up": {func(s site) {
			data, err := os.ReadFile(s.path("demo/cluster.yaml"))
			s.must(err)
			text, _, _ := strings.Cut(string(data), "signing:")
			s.write("demo/cluster.yaml", text)
			s.signed(noon)
		}, noon, sign.ErrSignatures},
		"envelope removed": {func(s site) { s.must(os.Remove(filepath.Join(s.out(), sign.File))) }, noon, sign.ErrSignatures},
		"expired":          {func(s site) { s.change(); s.signed(noon, 1) }, noon.Add(31 * day), sign.ErrExpired},
		"another cluster": {func(s site) {
			s.edit("demo/cluster.yaml", "cluster: test", "cluster: other")
			s.signed(noon, 1)
		}, noon, sign.ErrCluster},
		"another cluster of the same name": {func(s site) {
			s.edit("demo/cluster.yaml", "signing: {", "signing: {id: elsewhere, ")
			s.signed(noon, 1)
		}, noon, sign.ErrCluster},
		"generated elsewhere, with a lower version": {func(s site) {
			s.must(os.RemoveAll(s.out()))
			s.change()
			s.signed(noon, 1)
		}, noon, sign.ErrRollback},
		"another generation under a good envelope": {func(s site) {
			envelope, err := os.ReadFile(filepath.Join(s.out(), sign.File))
			s.must(err)
			s.change()
			s.signed(noon)
			s.must(os.WriteFile(filepath.Join(s.out(), sign.File), envelope, 0o644))
		}, noon, nil},
		"threshold of two, signed twice by one": {func(s site) {
			s.trusting(2, 1, 2)
			s.signed(noon, 1)
			s.twice()
		}, noon, sign.ErrSignatures},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.trusting(1, 1)
			opts := s.signing(noon, 1)
			opts.Version = 2
			_, err := artifacts.Generate(t.Context(), s.load(), opts)
			s.must(err)
			state := s.path("state")
			s.must(os.MkdirAll(state, 0o700))
			serve := func(at time.Time) error {
				a, err := artifacts.OpenAdmission(filepath.Join(state, "signing.json"), at)
				s.must(err)
				_, err = artifacts.ImportAdmitted(t.Context(), s.out(), filepath.Join(state, "artifacts"), a)
				return err
			}
			s.must(serve(noon))
			before := list(t, state)
			test.next(s)
			err = serve(test.at)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !errors.Is(err, fault.Denied) || fault.Remedy(err) == "" {
				t.Errorf("got %v, remedy %q, want %v", err, fault.Remedy(err), test.want)
			}
			if after := list(t, state); after != before {
				t.Errorf("what is served has changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

func TestNewKeysNeedTheOldOnes(t *testing.T) {
	s := newSite(t)
	s.trusting(1, 1)
	s.signed(noon, 1)
	state := s.path("state")
	s.must(os.MkdirAll(state, 0o700))
	serve := func() error {
		a, err := artifacts.OpenAdmission(filepath.Join(state, "signing.json"), noon)
		s.must(err)
		_, err = artifacts.ImportAdmitted(t.Context(), s.out(), filepath.Join(state, "artifacts"), a)
		return err
	}
	s.must(serve())
	// Key 2 joins key 1, which signs that; then it goes on alone.
	s.trusting(1, 1, 2)
	s.signed(noon, 1)
	s.must(serve())
	s.trusting(1, 2)
	s.signed(noon, 2)
	s.must(serve())
	s.trusting(1, 1)
	s.signed(noon, 1)
	if err := serve(); !errors.Is(err, sign.ErrSignatures) || !strings.Contains(fault.Remedy(err), "old keys") {
		t.Errorf("a key that was taken out is back: %v, %q", err, fault.Remedy(err))
	}
	// All at once: what is no longer listed signs once more, and no genconf is needed for it.
	_, signers, err := artifacts.Sign(s.out(), artifacts.SignOptions{OldKeys: []ed25519.PrivateKey{signKey(2)}, Now: noon})
	if err != nil || len(signers) != 1 {
		t.Errorf("%d of the listed keys signed, %v", len(signers), err)
	}
	s.must(serve())
}

func TestDamagedMemoryAcceptsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing.json")
	for _, text := range []string{"", "{}", `{"cluster":"test","version":1,"signing":null}`, "x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := artifacts.OpenAdmission(path, noon); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// change makes the next generation another one.
func (s site) change() {
	s.edit("demo/cluster.yaml", "roles:", "parameters: {port: 4001}\nroles:")
}

// twice repeats the first signature under the hint of key 2.
func (s site) twice() {
	s.t.Helper()
	path := filepath.Join(s.out(), sign.File)
	data, err := os.ReadFile(path)
	s.must(err)
	e, err := sign.Decode(data)
	s.must(err)
	again := e.Signatures[0]
	again.KeyID = sign.KeyID(signKey(2).Public().(ed25519.PublicKey))
	e.Signatures = append(e.Signatures, again)
	data, err = e.Encode()
	s.must(err)
	s.must(os.WriteFile(path, data, 0o644))
}
