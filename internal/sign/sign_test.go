package sign_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// key gives the same key for the same number.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func public(n byte) string { return sign.EncodeKey(key(n).Public().(ed25519.PublicKey)) }

func blob(c string) manifest.Blob {
	return manifest.Blob{Digest: manifest.Digest(strings.Repeat(c, 64)), Size: 10}
}

func signing(threshold int, keys ...byte) manifest.Signing {
	s := manifest.Signing{ID: "prod", Threshold: threshold}
	for _, n := range keys {
		s.Keys = append(s.Keys, public(n))
	}
	return s
}

func statement() *sign.Statement {
	return &sign.Statement{
		Format: 1, Cluster: "demo", ClusterID: "prod", ConfigID: manifest.ConfigID(strings.Repeat("c", 64)), Version: 7,
		Expires: now.Add(time.Hour), Keys: signing(2, 1, 2, 3).Keys, Threshold: 2,
		Manifests: map[manifest.Role]manifest.Blob{"master": blob("a")},
		Agents:    map[manifest.Arch]manifest.Blob{"amd64": blob("b")},
		Files:     map[string]manifest.Blob{"install.sh": blob("d"), "roles/master/user-data": blob("e")},
	}
}

func envelope(t testing.TB, s *sign.Statement, keys ...byte) *sign.Envelope {
	t.Helper()
	e, err := sign.New(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range keys {
		if err := e.Add(key(n)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func encode(t testing.TB, e *sign.Envelope) []byte {
	t.Helper()
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhatEnoughKeysSignIsBelieved(t *testing.T) {
	for name, test := range map[string]struct {
		trust manifest.Signing
		by    []byte
	}{
		"one of one":                    {signing(1, 1), []byte{1}},
		"one of three":                  {signing(1, 1, 2, 3), []byte{3}},
		"two of three":                  {signing(2, 1, 2, 3), []byte{3, 1}},
		"all of three":                  {signing(3, 1, 2, 3), []byte{1, 2, 3}},
		"strangers signed, too":         {signing(2, 1, 2), []byte{9, 1, 8, 2}},
		"the key list in another order": {signing(2, 3, 2, 1), []byte{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			data := encode(t, envelope(t, statement(), test.by...))
			s, err := sign.Trust{Cluster: "demo", Signing: test.trust}.Verify(data, sign.Seen{Now: now, Version: 7})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.ManifestOf("master", blob("a")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	two := sign.Trust{Cluster: "demo", Signing: signing(2, 1, 2, 3)}
	good := sign.Seen{Now: now, Version: 7}
	for name, test := range map[string]struct {
		trust sign.Trust
		seen  sign.Seen
		make  func(t *testing.T) *sign.Envelope
		want  error
	}{
		"nobody signed": {two, good, func(t *testing.T) *sign.Envelope { return envelope(t, statement()) }, sign.ErrSignatures},
		"one signed":    {two, good, func(t *testing.T) *sign.Envelope { return envelope(t, statement(), 1) }, sign.ErrSignatures},
		"signed twice by one key for a threshold of two": {two, good, func(t *testing.T) *sign.Envelope {
			e := envelope(t, statement(), 1)
			// The same signature again, under the hint of another key.
			again := e.Signatures[0]
			again.KeyID = sign.KeyID(key(2).Public().(ed25519.PublicKey))
			e.Signatures = append(e.Signatures, e.Signatures[0], again)
			return e
		}, sign.ErrSignatures},
		"signed by strangers": {two, good, func(t *testing.T) *sign.Envelope { return envelope(t, statement(), 8, 9) }, sign.ErrSignatures},
		"one bit of the payload flipped": {two, good, func(t *testing.T) *sign.Envelope {
			e := envelope(t, statement(), 1, 2)
			e.Payload[20] ^= 1
			return e
		}, sign.ErrSignatures},
		"one bit of a signature flipped": {two, good, func(t *testing.T) *sign.Envelope {
			e := envelope(t, statement(), 1, 2)
			e.Signatures[0].Sig[20] ^= 1
			return e
		}, sign.ErrSignatures},
		"signed as something else": {two, good, func(t *testing.T) *sign.Envelope {
			e := envelope(t, statement())
			e.PayloadType = "application/json"
			for _, n := range []byte{1, 2} {
				if err := e.Add(key(n)); err != nil {
					t.Fatal(err)
				}
			}
			e.PayloadType = sign.PayloadType
			return e
		}, sign.ErrSignatures},
		"another cluster": {sign.Trust{Cluster: "other", Signing: two.Signing}, good, signedByTwo, sign.ErrCluster},
		"a cluster of the same name": {sign.Trust{Cluster: "demo", Signing: func() manifest.Signing {
			s := two.Signing
			s.ID = "elsewhere"
			return s
		}()}, good, signedByTwo, sign.ErrCluster},
		"a lower version":              {two, sign.Seen{Now: now, Version: 8}, signedByTwo, sign.ErrRollback},
		"expired":                      {two, sign.Seen{Now: now.Add(2 * time.Hour), Version: 7}, signedByTwo, sign.ErrExpired},
		"expires this second":          {two, sign.Seen{Now: now.Add(time.Hour), Version: 7}, signedByTwo, sign.ErrExpired},
		"no keys to trust":             {sign.Trust{Cluster: "demo", Signing: manifest.Signing{ID: "prod"}}, good, signedByTwo, sign.ErrMalformed},
		"a threshold of nothing":       {sign.Trust{Cluster: "demo", Signing: signing(0, 1)}, good, signedByTwo, sign.ErrMalformed},
		"one trusted key listed twice": {sign.Trust{Cluster: "demo", Signing: signing(2, 1, 1)}, good, signedByTwo, sign.ErrMalformed},
		"signed, but no statement": {two, good, func(t *testing.T) *sign.Envelope {
			e := &sign.Envelope{PayloadType: sign.PayloadType, Payload: []byte(`{"format":1}`)}
			for _, n := range []byte{1, 2} {
				if err := e.Add(key(n)); err != nil {
					t.Fatal(err)
				}
			}
			return e
		}, sign.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := test.trust.VerifyEnvelope(test.make(t), test.seen)
			if !errors.Is(err, test.want) || s != nil {
				t.Fatalf("got %v, %v, want %v", s, err, test.want)
			}
			if !errors.Is(err, fault.Denied) || fault.Remedy(err) == "" {
				t.Errorf("%v has no remedy or another class", err)
			}
		})
	}
}

func signedByTwo(t *testing.T) *sign.Envelope { return envelope(t, statement(), 1, 2) }

func TestEnvelopesThatAreNotInTheirOneForm(t *testing.T) {
	text := string(encode(t, signedByTwo(t)))
	for name, bad := range map[string]string{
		"empty":             "",
		"truncated":         text[:len(text)/2],
		"two":               text + text,
		"repeated key":      strings.Replace(text, `"payloadType"`, `"payloadType": "x", "payloadType"`, 1),
		"key in upper case": strings.Replace(text, `"payload"`, `"Payload"`, 1),
		"unknown key":       strings.Replace(text, `"payload"`, `"more": 1, "payload"`, 1),
		"another type":      strings.Replace(text, "muster.generation", "muster.degeneration", 1),
		"line break inside": strings.Replace(text, `"payload": "`, `"payload": "\n`, 1),
		"too many":          strings.Replace(text, `"signatures": [`, `"signatures": [`+strings.Repeat(`{"keyid": "", "sig": ""},`, 100), 1),
		"too long":          text + strings.Repeat(" ", sign.MaxSize),
	} {
		if _, err := sign.Decode([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestStatementsThatSayNothingSensible(t *testing.T) {
	for name, spoil := range map[string]func(s *sign.Statement){
		"format":             func(s *sign.Statement) { s.Format = 2 },
		"cluster":            func(s *sign.Statement) { s.Cluster = "../x" },
		"cluster id":         func(s *sign.Statement) { s.ClusterID = "" },
		"config id":          func(s *sign.Statement) { s.ConfigID = "c" },
		"version 0":          func(s *sign.Statement) { s.Version = 0 },
		"version too high":   func(s *sign.Statement) { s.Version = sign.MaxVersion + 1 },
		"never expires":      func(s *sign.Statement) { s.Expires = time.Time{} },
		"parts of a second":  func(s *sign.Statement) { s.Expires = s.Expires.Add(1) },
		"another time zone":  func(s *sign.Statement) { s.Expires = s.Expires.In(time.FixedZone("x", 3600)) },
		"no roles":           func(s *sign.Statement) { s.Manifests = nil },
		"role with a path":   func(s *sign.Statement) { s.Manifests["../x"] = blob("a") },
		"file outside":       func(s *sign.Statement) { s.Files["../../etc/passwd"] = blob("a") },
		"file without bytes": func(s *sign.Statement) { s.Files["x"] = manifest.Blob{Digest: blob("a").Digest} },
		"unknown machine":    func(s *sign.Statement) { s.Agents["mips"] = blob("a") },
		"threshold":          func(s *sign.Statement) { s.Threshold = 4 },
		"key":                func(s *sign.Statement) { s.Keys[0] = "x" },
	} {
		s := statement()
		spoil(s)
		if _, err := sign.New(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestManifestThatIsNotListed(t *testing.T) {
	s := statement()
	longer := blob("a")
	longer.Size++
	for name, err := range map[string]error{
		"another role": s.ManifestOf("agent", blob("a")), "another digest": s.ManifestOf("master", blob("b")), "another length": s.ManifestOf("master", longer),
	} {
		if !errors.Is(err, sign.ErrUnlisted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSigningAgainChangesNothing(t *testing.T) {
	e := signedByTwo(t)
	want := encode(t, e)
	if err := e.Add(key(1)); err != nil {
		t.Fatal(err)
	}
	if got := encode(t, e); !bytes.Equal(got, want) {
		t.Errorf("got %s", got)
	}
	// A signature under one's own hint that does not fit is replaced, not kept beside.
	e.Signatures[0].Sig[0] ^= 1
	if err := e.Add(key(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := (sign.Trust{Cluster: "demo", Signing: signing(2, 1, 2)}).VerifyEnvelope(e, sign.Seen{Now: now}); err != nil || len(e.Signatures) != 2 {
		t.Errorf("%d signatures, %v", len(e.Signatures), err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	good := public(1)
	for name, bad := range map[string]string{
		"empty": "", "short": good[:40], "line break": good + "\n", "URL alphabet": strings.NewReplacer("+", "-", "/", "_").Replace(good) + "-",
		"padding bits":             good[:42] + "9=",
		"everybody's key":          sign.EncodeKey(make([]byte, 32)),
		"point of small order":     sign.EncodeKey(append([]byte{1}, make([]byte, 31)...)),
		"the same, the other sign": sign.EncodeKey(append(append([]byte{1}, make([]byte, 30)...), 0x80)),
	} {
		if _, err := sign.ParseKey(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	e, err := sign.New(statement())
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []byte{1, 2} {
		if err := e.Add(key(n)); err != nil {
			f.Fatal(err)
		}
	}
	data, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"payloadType":"application/vnd.muster.generation+json","payload":"e30=","signatures":[]}`))
	trust := sign.Trust{Cluster: "demo", Signing: signing(2, 1, 2, 3)}
	want, err := trust.Verify(data, sign.Seen{Now: now})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := sign.Decode(data)
		if err != nil {
			return
		}
		var plain, again bytes.Buffer
		out, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if json.Compact(&plain, data) != nil || json.Compact(&again, out) != nil || !bytes.Equal(plain.Bytes(), again.Bytes()) {
			t.Errorf("accepted %q, which encodes as %q", data, out)
		}
		_, _ = sign.Unverified(e)
		// Nobody but the keys can make another statement that is believed.
		if s, err := trust.Verify(data, sign.Seen{Now: now}); err == nil && (s.Version != want.Version || s.Manifests["master"] != want.Manifests["master"]) {
			t.Errorf("believed %q", data)
		}
	})
}

// Opening a pipe that nobody writes to would wait for ever.
func TestAPipeIsNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sign.ReadPrivate(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v", err)
	}
	if _, err := sign.ReadPublic(path); err == nil {
		t.Error("no error")
	}
}
