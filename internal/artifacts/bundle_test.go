package artifacts_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/artifacts"
	"muster/internal/config"
)

// build makes the site's bundle into one file; its unpacked form goes into a cache of the test's own.
func (s site) build(name string) *artifacts.Built {
	s.t.Helper()
	if t, ok := s.t.(*testing.T); ok {
		t.Setenv("XDG_CACHE_HOME", s.path("cache"))
	}
	b, problems := config.LoadBundle(s.path("demo"))
	if problems.Err() != nil {
		s.t.Fatal(problems)
	}
	built, err := artifacts.BuildBundle(s.t.Context(), b, s.path(name))
	s.must(err)
	return built
}

func TestAGenerationIsTheSameFromADirectoryAndFromAFile(t *testing.T) {
	s := newSite(t)
	s.write("demo/README.md", "read me")
	s.write("demo/notes", "not part of it")
	s.generate()
	want := list(t, s.out())
	built := s.build("demo/demo.bundle")
	for _, pin := range []string{"", "\nbundle_sha256: " + string(built.Digest)} {
		s.edit("demo/cluster.yaml", "bundle: .", "bundle: demo.bundle"+pin)
		// Twice: the second time it is unpacked already.
		for range 2 {
			s.generate()
			if got := list(t, s.out()); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
		s.edit("demo/cluster.yaml", "bundle: demo.bundle"+pin, "bundle: .")
	}
	files := strings.Join(built.Files, " ")
	if !strings.Contains(files, "README.md") || strings.Contains(files, "notes") || strings.Contains(files, "cluster.yaml") {
		t.Errorf("it holds %s", files)
	}
	if info, err := os.Stat(s.path("cache/muster/bundles")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the cache is %v, %v", info, err)
	}
}

func TestTheSameBundleGivesTheSameFile(t *testing.T) {
	first := newSite(t)
	want := first.build("a.bundle")
	for name, change := range map[string]func(s site){
		"elsewhere":            func(site) {},
		"aged":                 age,
		"with other modes":     loosen,
		"with a file too many": func(s site) { s.write("demo/packages/other", "") },
		"from a bundle": func(s site) {
			s.build("b.bundle")
			b, problems := config.LoadBundle(s.path("b.bundle"))
			if problems.Err() != nil {
				t.Fatal(problems)
			}
			s.must(os.RemoveAll(s.path("demo")))
			s.must(os.CopyFS(s.path("demo"), os.DirFS(b.Dir)))
			s.must(os.Remove(s.path("demo/.muster-bundle.json")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			change(s)
			if got := s.build("a.bundle"); got.Digest != want.Digest {
				t.Errorf("got %v, want %v", got, want)
			}
			a, err := os.ReadFile(first.path("a.bundle"))
			s.must(err)
			b, err := os.ReadFile(s.path("a.bundle"))
			s.must(err)
			if !bytes.Equal(a, b) {
				t.Error("the bytes differ")
			}
		})
	}
}

// rewrite gives the archive with its entries changed.
func (s site) rewrite(name string, change func(h *tar.Header, content []byte) []byte, more ...tar.Header) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	s.must(err)
	z, err := zstd.NewReader(bytes.NewReader(data))
	s.must(err)
	defer z.Close()
	var out bytes.Buffer
	c, err := zstd.NewWriter(&out)
	s.must(err)
	w := tar.NewWriter(c)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		s.must(err)
		content, err := io.ReadAll(r)
		s.must(err)
		content = change(h, content)
		h.Size = int64(len(content))
		s.must(w.WriteHeader(h))
		_, err = w.Write(content)
		s.must(err)
	}
	for _, h := range more {
		s.must(w.WriteHeader(&h))
	}
	s.must(errors.Join(w.Close(), c.Close()))
	s.must(os.WriteFile(s.path(name), out.Bytes(), 0o644))
}

func TestBundlesThatAreNotWhatTheySay(t *testing.T) {
	same := func(_ *tar.Header, content []byte) []byte { return content }
	tests := map[string]struct {
		spoil func(s site)
		want  string
	}{
		"another digest": {
			func(s site) {
				s.edit("demo/cluster.yaml", "bundle: a.bundle", "bundle: a.bundle\nbundle_sha256: "+strings.Repeat("a", 64))
			},
			"demo/cluster.yaml:3:16: bundle_sha256: the SHA-256 of demo/a.bundle is DIGEST, and " + strings.Repeat("a", 64) + " is pinned: it is another file",
		},
		"a digest of a directory": {
			func(s site) {
				s.edit("demo/cluster.yaml", "bundle: a.bundle", "bundle: .\nbundle_sha256: "+strings.Repeat("a", 64))
			},
			"demo/cluster.yaml:3:1: bundle_sha256: only a bundle in one file has a digest, and \".\" is a directory",
		},
		"a digest that is none": {
			func(s site) {
				s.edit("demo/cluster.yaml", "bundle: a.bundle", "bundle: a.bundle\nbundle_sha256: x")
			},
			`demo/cluster.yaml:3:16: bundle_sha256: "x" is not a SHA-256`,
		},
		"a digest that is not filled in": {
			func(s site) { s.edit("demo/cluster.yaml", "bundle: a.bundle", "bundle: a.bundle\nbundle_sha256:") },
			"demo/cluster.yaml:3:1: bundle_sha256: has no value, so the bundle would be compared with nothing",
		},
		"no archive": {
			func(s site) { s.write("demo/a.bundle", "text") },
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: it is no tar.zst",
		},
		"no file": {
			func(s site) { s.must(os.Remove(s.path("demo/a.bundle"))) },
			"demo/cluster.yaml:2:9: bundle: there is no bundle at",
		},
		"truncated": {
			func(s site) {
				info, err := os.Stat(s.path("demo/a.bundle"))
				s.must(err)
				s.must(os.Truncate(s.path("demo/a.bundle"), info.Size()-9))
			},
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: ",
		},
		"no index": {
			func(s site) {
				s.rewrite("demo/a.bundle", func(h *tar.Header, content []byte) []byte {
					h.Name = strings.TrimPrefix(h.Name, ".muster-")
					return content
				})
			},
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: it does not begin with the index of a bundle",
		},
		"another content": {
			func(s site) {
				s.rewrite("demo/a.bundle", func(h *tar.Header, content []byte) []byte {
					if h.Name == "bundle.yaml" {
						content[0] = '#'
					}
					return content
				})
			},
			`demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: "bundle.yaml" is not what its index says: its SHA-256 is `,
		},
		"another mode": {
			func(s site) {
				s.rewrite("demo/a.bundle", func(h *tar.Header, content []byte) []byte {
					if h.Name == "bundle.yaml" {
						h.Mode = 0o755
					}
					return content
				})
			},
			`demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: "bundle.yaml" is not what its index says: it has mode`,
		},
		"an entry too many": {
			func(s site) {
				s.rewrite("demo/a.bundle", same, tar.Header{Name: "more", Typeflag: tar.TypeReg, Mode: 0o644})
			},
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: the archive breaks a rule: archive refused: there are more than the",
		},
		"an escape": {
			func(s site) {
				s.rewrite("demo/a.bundle", func(h *tar.Header, content []byte) []byte {
					if h.Name == "bundle.yaml" {
						h.Name = "../../escape"
					}
					return content
				})
			},
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: the archive breaks a rule: archive refused: the name \"../../escape\"",
		},
		"a link out": {
			func(s site) {
				s.rewrite("demo/a.bundle", func(h *tar.Header, content []byte) []byte {
					if h.Name == "bundle.yaml" {
						h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/shadow"
						return nil
					}
					return content
				})
			},
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: the archive breaks a rule: archive refused: symbolic link \"bundle.yaml\"",
		},
		"an index that lies about lengths": {
			func(s site) {
				s.rewrite("demo/a.bundle", func(h *tar.Header, content []byte) []byte {
					if h.Name == ".muster-bundle.json" {
						content = bytes.Replace(content, []byte(`"size": `), []byte(`"size": 99999999999`), 1)
					}
					return content
				})
			},
			"demo/cluster.yaml:2:9: bundle: demo/a.bundle is not a bundle that can be used: it would be",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.build("demo/a.bundle")
			s.edit("demo/cluster.yaml", "bundle: .", "bundle: a.bundle")
			test.spoil(s)
			data, _ := os.ReadFile(s.path("demo/a.bundle"))
			_, problems := config.LoadCluster(s.path("demo/cluster.yaml"))
			got := strings.NewReplacer(s.dir+"/", "", hexDigest(data), "DIGEST").Replace(problems.Error())
			if len(problems) != 1 || !strings.HasPrefix(got, test.want) || problems[0].Remedy == "" {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if left, _ := filepath.Glob(s.path("cache/muster/bundles/*")); len(left) > 0 {
				t.Errorf("left in the cache: %v", left)
			}
		})
	}
}

func TestACacheThatOthersCanWriteToIsNotUsed(t *testing.T) {
	s := newSite(t)
	s.build("a.bundle")
	s.must(os.MkdirAll(s.path("cache/muster/bundles"), 0o755))
	s.must(os.Chmod(s.path("cache/muster/bundles"), 0o777))
	_, problems := config.LoadBundle(s.path("a.bundle"))
	if len(problems) != 1 || !strings.Contains(problems.Error(), "is not a directory that only this user can write to") {
		t.Errorf("got %v", problems)
	}
}
