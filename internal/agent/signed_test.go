package agent

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/sign"
)

func signKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func publicKey(n byte) string { return sign.EncodeKey(signKey(n).Public().(ed25519.PublicKey)) }

// signedWorks is a generation that two of three keys have to sign, on a mirror that may do anything with the statement.
type signedWorks struct {
	*works
	mirror string
	// envelope is what the mirror sends.
	envelope []byte
}

func newSignedWorks(t testing.TB) *signedWorks {
	keys := strings.Join([]string{publicKey(1), publicKey(2), publicKey(3)}, ", ")
	w := &signedWorks{works: newWorks(t, "signing: {keys: ["+keys+"], threshold: 2}\n")}
	mirror := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+sign.File {
			http.FileServer(http.Dir(w.dir)).ServeHTTP(rw, r)
			return
		}
		if w.envelope == nil {
			rw.WriteHeader(http.StatusNotFound)
		}
		_, _ = rw.Write(w.envelope)
	}))
	t.Cleanup(mirror.Close)
	w.mirror = mirror.URL
	w.envelope = w.sign(2, nil, 1, 3)
	return w
}

// sign states the generation as it is with a version, changed, and signs it.
func (w *signedWorks) sign(version uint64, change func(*sign.Statement), keys ...byte) []byte {
	w.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, sign.File))
	must(w, err)
	e, err := sign.Decode(raw)
	must(w, err)
	s, err := sign.Unverified(e)
	must(w, err)
	s.Version = version
	if change != nil {
		change(s)
	}
	e, err = sign.New(s)
	must(w, err)
	for _, n := range keys {
		must(w, e.Add(signKey(n)))
	}
	data, err := e.Encode()
	must(w, err)
	return data
}

func (w *signedWorks) from(l Layout, sources ...string) (*installation, *recorder) {
	w.Helper()
	i, r := w.install(l, nil)
	i.plan.Sources, i.signing, i.askWait = sources, w.generation.Signing, time.Millisecond
	return i, r
}

func (w *signedWorks) mustBelieve(l Layout, sources ...string) {
	w.Helper()
	i, r := w.from(l, sources...)
	if err := i.run(w.Context(), installSteps, hosts.Done); err != nil || r.phase != hosts.Done {
		w.Fatalf("%v, %v after %q", err, r.failed, r.steps)
	}
}

func TestASignedGenerationIsInstalled(t *testing.T) {
	w := newSignedWorks(t)
	l := newRoot(t)
	w.mustBelieve(l, w.mirror)
	if got := read(t, l.signed("demo")); got != `{"cluster_id":"demo","version":2}` {
		t.Errorf("kept with the installation: %s", got)
	}
	// The agent goes; what it knows stays as long as the installation.
	must(t, os.RemoveAll(l.State()))
	w.envelope = w.sign(3, nil, 2, 3)
	w.mustBelieve(l, w.mirror)
	if got := read(t, l.signed("demo")); got != `{"cluster_id":"demo","version":3}` {
		t.Errorf("kept with the installation: %s", got)
	}
	must(t, Uninstall(t.Context(), l, "demo", true))
	if exists(l.signed("demo")) {
		t.Error("left behind after uninstalling")
	}
}

// Negative case 10, on a host: refused, and the installation stays.
func TestAGenerationThatIsNotToBeBelievedLeavesTheInstallation(t *testing.T) {
	w := newSignedWorks(t)
	good := w.envelope
	later := func(s *sign.Statement) { s.Expires = s.Expires.Add(time.Hour) }
	for name, test := range map[string]struct {
		envelope func() []byte
		change   func(i *installation)
		want     error
	}{
		"a lower version": {func() []byte { return w.sign(1, later, 1, 2) }, nil, sign.ErrRollback},
		"expired": {func() []byte {
			return w.sign(3, func(s *sign.Statement) { s.Expires = time.Now().Add(-time.Hour).UTC().Truncate(time.Second) }, 1, 2)
		}, nil, sign.ErrExpired},
		"expired by the coordinator's clock": {func() []byte { return good }, func(i *installation) {
			i.offset = func() (time.Duration, bool) { return 2000 * time.Hour, true }
		}, sign.ErrExpired},
		"of another cluster":            {func() []byte { return w.sign(3, func(s *sign.Statement) { s.Cluster = "other" }, 1, 2) }, nil, sign.ErrCluster},
		"of a cluster of the same name": {func() []byte { return w.sign(3, func(s *sign.Statement) { s.ClusterID = "other" }, 1, 2) }, nil, sign.ErrCluster},
		"signed twice by one key": {func() []byte {
			e, err := sign.Decode(w.sign(3, nil, 1))
			must(t, err)
			again := e.Signatures[0]
			again.KeyID = sign.KeyID(signKey(2).Public().(ed25519.PublicKey))
			e.Signatures = append(e.Signatures, again)
			data, err := e.Encode()
			must(t, err)
			return data
		}, nil, sign.ErrSignatures},
		"signed by one":       {func() []byte { return w.sign(3, nil, 1) }, nil, sign.ErrSignatures},
		"signed by strangers": {func() []byte { return w.sign(3, nil, 7, 8, 9) }, nil, sign.ErrSignatures},
		"signed for another manifest": {func() []byte {
			return w.sign(3, func(s *sign.Statement) { s.Manifests["loner"] = s.Manifests["master"] }, 1, 2)
		}, nil, sign.ErrUnlisted},
		"no statement but noise": {func() []byte { return []byte("<html>") }, nil, sign.ErrMalformed},
		"longer than can be":     {func() []byte { return bytes.Repeat([]byte(" "), sign.MaxSize+1) }, nil, fault.Unavailable},
		"signing given up":       {func() []byte { return good }, func(i *installation) { i.signing = nil }, sign.ErrSignatures},
		"another cluster's seed": {func() []byte { return good }, func(i *installation) {
			other := *i.signing
			other.ID = "other"
			i.signing = &other
		}, sign.ErrCluster},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRoot(t)
			w.envelope = good
			w.mustBelieve(l, w.mirror)
			must(t, os.RemoveAll(l.State()))
			mustMkdir(t, l.State())
			before := tree(t, l)
			asked := len(calls(t, l))

			w.envelope = test.envelope()
			i, r := w.from(l, w.mirror)
			if test.change != nil {
				test.change(i)
			}
			must(t, i.run(t.Context(), installSteps, hosts.Done))
			if r.phase != hosts.Failed || !slices.Equal(r.steps, []string{"manifest"}) || !errors.Is(r.failed, test.want) || fault.Remedy(r.failed) == "" {
				t.Errorf("it is %s after %q: %v (remedy %q), want %v", r.phase, r.steps, r.failed, fault.Remedy(r.failed), test.want)
			}
			must(t, os.RemoveAll(l.blobs()))
			wantTree(t, l, before)
			if c := calls(t, l); len(c) != asked {
				t.Errorf("systemctl was called: %q", c[asked:])
			}
		})
	}
}

func TestAVersionIsRememberedThroughAFailedInstallation(t *testing.T) {
	w := newSignedWorks(t)
	l := newRoot(t)
	w.envelope = w.sign(9, nil, 1, 2)
	i, _ := w.from(l, w.mirror)
	if _, err := i.getManifest(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.envelope = w.sign(8, nil, 1, 2)
	must(t, os.Remove(l.envelope()))
	i, _ = w.from(l, w.mirror)
	if _, err := i.getManifest(t.Context()); !errors.Is(err, sign.ErrRollback) {
		t.Errorf("got %v", err)
	}
}

func TestAHostileMirrorDoesNotHideAnHonestOne(t *testing.T) {
	w := newSignedWorks(t)
	honest := w.envelope
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(honest) }))
	t.Cleanup(server.Close)
	for name, envelope := range map[string][]byte{"none": nil, "an old one": w.sign(1, func(s *sign.Statement) {
		s.Expires = time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	}, 1, 2), "noise": []byte("x")} {
		t.Run(name, func(t *testing.T) {
			w.envelope = envelope
			i, _ := w.from(newRoot(t), w.mirror, server.URL)
			must(t, i.prepareFetcher())
			must(t, i.believe(t.Context()))
		})
	}
}

// After a crash, the installation goes on without the mirror.
func TestAStatementThatWasBelievedIsKept(t *testing.T) {
	w := newSignedWorks(t)
	l := newRoot(t)
	i, _ := w.from(l, w.mirror)
	must(t, i.prepareFetcher())
	must(t, i.believe(t.Context()))
	w.envelope = []byte("x")
	must(t, i.believe(t.Context()))
	// One that others have put there is worth no more than a mirror's.
	write(t, l.envelope(), string(w.sign(3, nil, 7, 8)))
	if err := i.believe(t.Context()); !errors.Is(err, sign.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestADamagedVersionFileAcceptsNothing(t *testing.T) {
	w := newSignedWorks(t)
	l := newRoot(t)
	mustMkdir(t, l.Home("demo"))
	for _, text := range []string{"", "{}x", `{"version":1}`} {
		write(t, l.signed("demo"), text)
		i, _ := w.from(l, w.mirror)
		if _, err := i.getManifest(t.Context()); !errors.Is(err, fault.Invalid) || fault.Remedy(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestASignedInstallationWithoutACoordinator(t *testing.T) {
	w := newSignedWorks(t)
	s, out := w.static("loner")
	s.Sources, s.Cluster, s.Signing = []string{w.mirror}, "demo", w.generation.Signing
	l := newRoot(t)
	if err := InstallStatic(t.Context(), l, s); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := read(t, l.signed("demo")); got != `{"cluster_id":"demo","version":2}` {
		t.Errorf("kept with the installation: %s", got)
	}
	for name, spoil := range map[string]func(s *Static){
		"another cluster": func(s *Static) { s.Cluster = "other" },
		"no keys":         func(s *Static) { s.Signing = &manifest.Signing{ID: "demo", Threshold: 1} },
		"other keys":      func(s *Static) { s.Signing = &manifest.Signing{ID: "demo", Threshold: 1, Keys: []string{publicKey(9)}} },
	} {
		s := s
		spoil(&s)
		fresh := newRoot(t)
		if err := InstallStatic(t.Context(), fresh, s); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
		if exists(fresh.Home("demo")) || exists(fresh.State()) {
			t.Errorf("%s: something is left behind", name)
		}
	}
}

func TestTheSeedOfASignedGenerationHasTheKeys(t *testing.T) {
	w := newSignedWorks(t)
	if _, _, err := artifacts.Load(w.dir); err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(w.dir, "install.sh"))
	for _, words := range []string{"--cluster demo --cluster-id demo --threshold 2", "--key " + publicKey(1), "--key " + publicKey(3)} {
		if !strings.Contains(text, words) {
			t.Errorf("install.sh does not say %q", words)
		}
	}
}
