package artifacts_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/fault"
	"muster/internal/manifest"
)

// damages are what can happen to a generation, with what is said of it. Those marked deep are only seen when blobs are
// read.
var damages = map[string]struct {
	do   func(s site, dir string, g *manifest.Generation)
	want string
	deep bool
}{
	"nothing there": {
		do: func(s site, dir string, _ *manifest.Generation) {
			s.must(os.Remove(filepath.Join(dir, "generation.json")))
		},
		want: "there is no generation",
	},
	"unknown key": {
		do: func(s site, dir string, _ *manifest.Generation) {
			change(s, dir, "generation.json", `"format": 1,`, `"format": 1, "more": 1,`)
		},
		want: "unknown field",
	},
	"repeated key": {
		do: func(s site, dir string, _ *manifest.Generation) {
			change(s, dir, "generation.json", `"format": 1,`, `"format": 1, "format": 1,`)
		},
		want: "a key is repeated",
	},
	"key in another case": {
		do: func(s site, dir string, _ *manifest.Generation) {
			change(s, dir, "generation.json", `"format": 1,`, `"Format": 1,`)
		},
		want: "spelled differently",
	},
	"other format": {
		do: func(s site, dir string, _ *manifest.Generation) {
			change(s, dir, "generation.json", `"format": 1,`, `"format": 2,`)
		},
		want: "format 2, this program reads 1",
	},
	"something after the end": {
		do: func(s site, dir string, _ *manifest.Generation) {
			change(s, dir, "generation.json", "}\n", "}\n")
			f, err := os.OpenFile(filepath.Join(dir, "generation.json"), os.O_APPEND|os.O_WRONLY, 0)
			s.must(err)
			_, err = f.WriteString("{}")
			s.must(errors.Join(err, f.Close()))
		},
		want: "something follows",
	},
	"changed manifest": {
		do: func(s site, dir string, g *manifest.Generation) {
			change(s, dir, manifest.BlobPath(g.Roles[0].Manifest.Digest), "critical", "Critical")
		},
		want: "its SHA-256 is",
	},
	"manifest of another role": {
		do: func(s site, dir string, g *manifest.Generation) {
			a, b := g.Roles[0].Manifest, g.Roles[1].Manifest
			g.Roles[0].Manifest, g.Roles[1].Manifest = b, a
			data, err := g.Encode()
			s.must(err)
			s.must(os.WriteFile(filepath.Join(dir, "generation.json"), data, 0o644))
		},
		want: "another generation or role",
	},
	"missing blob": {
		do: func(s site, dir string, g *manifest.Generation) {
			s.must(os.Remove(filepath.Join(dir, manifest.BlobPath(g.Agents["arm64"].Digest))))
		},
		want: "it is missing",
	},
	"short blob": {
		do: func(s site, dir string, g *manifest.Generation) {
			s.must(os.Truncate(filepath.Join(dir, manifest.BlobPath(g.Agents["arm64"].Digest)), 3))
		},
		want: "it has 3 bytes instead of",
	},
	"link instead of a blob": {
		do: func(s site, dir string, g *manifest.Generation) {
			path := filepath.Join(dir, manifest.BlobPath(g.Agents["arm64"].Digest))
			s.must(os.Rename(path, path+".x"))
			s.must(os.Symlink(path+".x", path))
		},
		want: "not a regular file",
	},
	"flipped bit": {
		do: func(s site, dir string, g *manifest.Generation) {
			change(s, dir, manifest.BlobPath(g.Agents["arm64"].Digest), "agent", "agenT")
		},
		want: "its SHA-256 is",
		deep: true,
	},
}

func change(s site, dir, name, old, replacement string) {
	rel, err := filepath.Rel(s.dir, filepath.Join(dir, name))
	s.must(err)
	s.edit(rel, old, replacement)
}

func TestDamagedGenerationIsRefused(t *testing.T) {
	for name, test := range damages {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			test.do(s, s.out(), s.generate())
			_, _, err := artifacts.Load(s.out())
			if test.deep {
				s.must(err)
				_, _, err = artifacts.Verify(t.Context(), s.out())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if fault.Remedy(err) == "" {
				t.Errorf("no remedy for %v", err)
			}
			if artifacts.Import(t.Context(), s.out(), s.path("store")) == nil {
				t.Error("it was imported")
			}
			if _, err := os.Stat(s.path("store/generation.json")); err == nil {
				t.Error("the store names a generation that was not imported")
			}
		})
	}
}

func TestImport(t *testing.T) {
	s := newSite(t)
	first := s.generate()
	store := s.path("store")
	s.must(artifacts.Import(t.Context(), s.out(), store))
	before := list(t, store)
	s.must(artifacts.Import(t.Context(), s.out(), store))
	if after := list(t, store); after != before {
		t.Errorf("a second import changes something: before\n%safter\n%s", before, after)
	}
	s.must(os.RemoveAll(s.out()))
	got, _, err := artifacts.Verify(t.Context(), store)
	s.must(err)
	if got.ConfigID != first.ConfigID {
		t.Errorf("got config id %s", got.ConfigID)
	}

	s.edit("demo/cluster.yaml", "hosts:\n  - {address: 10.77.0.11, role: master, labels: {zone: a}}\n", "")
	second := s.generate()
	s.must(artifacts.Import(t.Context(), s.out(), store))
	got, _, err = artifacts.Verify(t.Context(), store)
	s.must(err)
	if got.ConfigID != second.ConfigID || got.ConfigID == first.ConfigID {
		t.Errorf("got config id %s", got.ConfigID)
	}
	if _, err := os.Stat(filepath.Join(store, "roles/master/user-data")); !os.IsNotExist(err) {
		t.Errorf("user-data of the first generation is still there: %v", err)
	}
	// Hosts may still be fetching what was generated before.
	for _, r := range first.Roles {
		if _, err := os.Stat(filepath.Join(store, manifest.BlobPath(r.Manifest.Digest))); err != nil {
			t.Error(err)
		}
	}
}

func TestImportMendsTheStore(t *testing.T) {
	s := newSite(t)
	g := s.generate()
	store := s.path("store")
	s.must(artifacts.Import(t.Context(), s.out(), store))
	want := list(t, store)
	blob := filepath.Join(store, manifest.BlobPath(g.Agents["amd64"].Digest))
	// The store may share its files with the generation, so they are not written to but replaced.
	s.must(os.Remove(blob))
	s.must(os.WriteFile(blob, []byte("the bootstrap agent for amd46"), 0o644))
	s.must(artifacts.Import(t.Context(), s.out(), store))
	if got := list(t, store); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestInterruptedImport(t *testing.T) {
	s := newSite(t)
	s.generate()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := artifacts.Import(ctx, s.out(), s.path("store")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(s.path("store/generation.json")); err == nil {
		t.Error("the store names a generation that was not imported")
	}
}
