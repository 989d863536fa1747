package artifacts_test

import (
	"os"
	"path/filepath"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/manifest"
	"muster/internal/unpack"
)

// What generation packs, the bootstrap agent unpacks: its rules on archives are stricter than tar's.
func TestWhatIsPackedIsUnpacked(t *testing.T) {
	s := newSite(t)
	s.write("demo/packages/app/amd64/share/größe/with blanks", "x")
	s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	m := manifests["master"]
	s.must(os.Mkdir(s.path("host"), 0o755))
	for name, b := range map[string]manifest.Blob{"app": m.Packages[0].Blobs["amd64"], "config": m.Config} {
		f, err := os.Open(filepath.Join(s.out(), manifest.BlobPath(b.Digest)))
		s.must(err)
		defer f.Close()
		s.must(unpack.Unpack(t.Context(), f, b, s.path("host/"+name), unpack.Options{}))
	}
	for name, want := range map[string]os.FileMode{
		"app/bin/app": 0o755, "app/share/words": 0o644, "app/share/größe/with blanks": 0o644,
		"config/etc/app.conf": 0o640, "config/etc/host.env": 0o644, "config/units/test.target": 0o644,
	} {
		if info, err := os.Stat(s.path("host/" + name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if target, err := os.Readlink(s.path("host/app/lib/libapp.so")); err != nil || target != "libapp.so.1" {
		t.Errorf("link to %q, %v", target, err)
	}
}
