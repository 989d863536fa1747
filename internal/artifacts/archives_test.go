package artifacts_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/config"
)

// tarOf makes a tar of a directory, below a directory app-1.0, with what depends on who packs it.
func (s site) tarOf(dir string, more ...tar.Header) []byte {
	s.t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	s.must(filepath.WalkDir(s.path(dir), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target, _ := os.Readlink(name)
		h, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(s.path(dir), name)
		h.Name = path.Join("./app-1.0", rel)
		h.Uid, h.Uname, h.ModTime = 1000, "builder", time.Unix(1700000000, 0)
		if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}))
	for _, h := range more {
		s.must(w.WriteHeader(&h))
	}
	s.must(w.Close())
	return b.Bytes()
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

const appSources = "sources: {amd64: packages/app/amd64, arm64: packages/app/arm64}"

func TestAnArchiveIsPackedAsTheDirectoryThatItWasMadeOf(t *testing.T) {
	s := newSite(t)
	s.generate()
	_, want, err := artifacts.Load(s.out())
	s.must(err)
	data := s.tarOf("demo/packages/app/amd64")
	s.write("demo/packages/app.tar", string(data))
	s.edit("demo/bundle.yaml", appSources, "sources: {amd64: {path: packages/app.tar, strip: 1, sha256: "+hexDigest(data)+"}, arm64: packages/app/arm64}")
	s.edit("demo/bundle.yaml", "sources: {amd64: packages/common, arm64: packages/common}", "sources: {all: packages/common}")
	s.generate()
	_, got, err := artifacts.Load(s.out())
	s.must(err)
	for i, name := range []string{"app", "common"} {
		for arch, blob := range want["master"].Packages[i].Blobs {
			if got["master"].Packages[i].Blobs[arch] != blob {
				t.Errorf("%s for %s is packed as %v, from the directory as %v", name, arch, got["master"].Packages[i].Blobs[arch], blob)
			}
		}
		if links := got["master"].Packages[i].Links["amd64"]; len(links) != len(want["master"].Packages[i].Links["amd64"]) {
			t.Errorf("links %v", links)
		}
	}
	first := list(t, s.out())
	s.generate()
	if again := list(t, s.out()); again != first {
		t.Error("the same archive gives other bytes")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "muster-sources-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestArchivesThatCannotBePacked(t *testing.T) {
	tests := map[string]struct {
		spoil func(s site) (source string)
		want  []string
	}{
		"another digest": {
			func(s site) string {
				s.write("demo/app.tar", string(s.tarOf("demo/packages/app/amd64")))
				return "{path: app.tar, strip: 1, sha256: " + strings.Repeat("0", 64) + "}"
			},
			[]string{"demo/bundle.yaml:21:56: packages.app.sources.amd64.sha256: the SHA-256 of DIR/demo/app.tar is DIGEST, and " + strings.Repeat("0", 64) + " is pinned"},
		},
		"another digest for all": {
			func(s site) string {
				s.write("demo/app.tar", string(s.tarOf("demo/packages/app/amd64")))
				s.edit("demo/bundle.yaml", ", arm64: packages/app/arm64}", "}")
				s.edit("demo/bundle.yaml", "{amd64: packages/app/amd64", "{all: packages/app/amd64")
				return "{path: app.tar, strip: 1, sha256: " + strings.Repeat("0", 64) + "}"
			},
			[]string{"demo/bundle.yaml:21:54: packages.app.sources.all.sha256: the SHA-256 of DIR/demo/app.tar is DIGEST, and "},
		},
		"links that lead out, and a setuid file": {
			func(s site) string {
				s.write("demo/app.tar", string(s.tarOf("demo/packages/app/amd64",
					tar.Header{Name: "app-1.0/abs", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"},
					tar.Header{Name: "app-1.0/up", Typeflag: tar.TypeSymlink, Linkname: "../../x"})))
				return "{path: app.tar, strip: 1}"
			},
			[]string{
				`demo/app.tar/abs: the link's target "/etc/shadow" is absolute`,
				`demo/app.tar/up: the link's target "../../x" is outside of the package`,
			},
		},
		"a setuid file and an escape": {
			func(s site) string {
				s.write("demo/app.tar", string(s.tarOf("demo/packages/app/amd64",
					tar.Header{Name: "app-1.0/su", Typeflag: tar.TypeReg, Mode: 0o4755},
					tar.Header{Name: "../../escape", Typeflag: tar.TypeReg, Mode: 0o644})))
				return "{path: app.tar, strip: 1}"
			},
			[]string{
				"demo/app.tar/app-1.0/su: is setuid or setgid, which a package cannot carry",
				`demo/app.tar/"../../escape": the name is not a plain path inside of the archive`,
			},
		},
		"something else": {
			func(s site) string { s.write("demo/app.deb", "text"); return "app.deb" },
			[]string{"demo/app.deb: the archive cannot be read: it is not a Debian package"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			source := test.spoil(s)
			s.edit("demo/bundle.yaml", ": packages/app/amd64", ": "+source)
			_, err := artifacts.Generate(context.Background(), s.load(), s.options())
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			digest := "DIGEST"
			if data, err := os.ReadFile(s.path("demo/app.tar")); err == nil {
				digest = hexDigest(data)
			}
			for i, p := range problems {
				got := strings.NewReplacer(s.dir+"/", "", digest, "DIGEST").Replace(p.String())
				if i >= len(test.want) || !strings.HasPrefix(got, strings.ReplaceAll(test.want[i], "DIR/", "")) {
					t.Errorf("problem %d: %s", i, got)
				}
				if p.Remedy == "" {
					t.Errorf("no remedy for %s", got)
				}
			}
			if len(problems) < len(test.want) {
				t.Errorf("got %d problems, want %d", len(problems), len(test.want))
			}
			if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "muster-sources-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
