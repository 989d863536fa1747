package artifacts_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/manifest"
)

// port generates with another port, and so another generation, keeping some of those before.
func (s site) port(n, keep int) manifest.ConfigID {
	s.t.Helper()
	data, err := os.ReadFile(s.path("demo/cluster.yaml"))
	s.must(err)
	text, _, _ := strings.Cut(string(data), "parameters:")
	s.write("demo/cluster.yaml", text+fmt.Sprintf("parameters: {port: %d}\n", n))
	// A package changes as well, so that each generation has blobs of its own.
	s.write("demo/packages/app/amd64/share/words", fmt.Sprintf("words %d", n))
	opts := s.options()
	opts.Keep = keep
	g, err := artifacts.Generate(context.Background(), s.load(), opts)
	s.must(err)
	return g.ConfigID
}

func ids(t *testing.T, dir string) []manifest.ConfigID {
	t.Helper()
	list, err := artifacts.Generations(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []manifest.ConfigID
	for _, k := range list {
		if k.Problem != "" {
			t.Errorf("%.12s: %s", k.ConfigID, k.Problem)
		}
		out = append(out, k.ConfigID)
	}
	return out
}

func same(t *testing.T, got []manifest.ConfigID, want ...manifest.ConfigID) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %.12s, want %.12s", got, want)
	}
}

// whole audits a directory.
func whole(t *testing.T, dir string) {
	t.Helper()
	a, err := artifacts.Audit(t.Context(), dir, artifacts.AuditOptions{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.Problems {
		t.Errorf("%s: %s", p.Path, p.Problem)
	}
}

func TestPreviousGenerationsAreKept(t *testing.T) {
	s := newSite(t)
	one, two := s.port(4001, 2), s.port(4002, 2)
	three := s.port(4003, 2)
	same(t, ids(t, s.out()), three, two, one)
	whole(t, s.out())
	four := s.port(4004, 2)
	same(t, ids(t, s.out()), four, three, two)
	whole(t, s.out())
	// The same again, and back to one that was kept.
	s.port(4004, 2)
	same(t, ids(t, s.out()), four, three, two)
	s.port(4003, 2)
	same(t, ids(t, s.out()), three, four, two)
	whole(t, s.out())
	s.port(4003, 0)
	same(t, ids(t, s.out()), three)
	whole(t, s.out())
}

func TestKeptGenerationThatIsDamagedIsDropped(t *testing.T) {
	s := newSite(t)
	one := s.port(4001, 3)
	two := s.port(4002, 3)
	s.must(os.Remove(filepath.Join(s.out(), "generations", string(one), "install.sh")))
	said := ""
	opts := s.options()
	opts.Keep = 3
	opts.Progress = func(line string) { said += line + "\n" }
	s.edit("demo/cluster.yaml", "4002", "4003")
	g, err := artifacts.Generate(t.Context(), s.load(), opts)
	s.must(err)
	same(t, ids(t, s.out()), g.ConfigID, two)
	if !strings.Contains(said, "the old generation "+string(one[:12])+" is not kept") {
		t.Errorf("said %q", said)
	}
	whole(t, s.out())
}

func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	s := newSite(t)
	s.port(4001, 3)
	two, three := s.port(4002, 3), s.port(4003, 3)
	stray := filepath.Join(s.out(), "blobs/aa", strings.Repeat("a", 64))
	s.write("out/genconf/blobs/aa/"+strings.Repeat("a", 64), "nobody's")
	s.write("out/genconf/blobs/aa/README", "not a blob")
	freed, err := artifacts.Prune(s.out(), 1)
	s.must(err)
	same(t, ids(t, s.out()), three, two)
	if _, err := os.Stat(stray); err == nil || freed == 0 {
		t.Error("a blob that nobody needs is still there")
	}
	if _, err := os.Stat(s.path("out/genconf/blobs/aa/README")); err != nil {
		t.Error("what is not a blob was removed")
	}
	s.must(os.Remove(s.path("out/genconf/blobs/aa/README")))
	whole(t, s.out())
	_, err = artifacts.Prune(s.out(), 0)
	s.must(err)
	same(t, ids(t, s.out()), three)
	whole(t, s.out())
}

func TestPruneRemovesNothingWhenTheCurrentGenerationIsDamaged(t *testing.T) {
	s := newSite(t)
	s.port(4001, 3)
	s.port(4002, 3)
	g, _, err := artifacts.Load(s.out())
	s.must(err)
	s.must(os.Remove(filepath.Join(s.out(), manifest.BlobPath(g.Roles[0].Manifest.Digest))))
	before := list(t, s.out())
	if _, err := artifacts.Prune(s.out(), 0); err == nil {
		t.Error("no error")
	}
	if after := list(t, s.out()); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
}

// Whatever part of the removal a crash leaves undone, what is kept is whole and the next run finishes.
func TestInterruptedPrune(t *testing.T) {
	s := newSite(t)
	one := s.port(4001, 3)
	s.port(4002, 3)
	current, err := os.ReadFile(filepath.Join(s.out(), "generation.json"))
	s.must(err)
	for name, crash := range map[string]func(dir string){
		"index written": func(dir string) {
			s.must(os.WriteFile(dir+"/generations/index.json", []byte(`{"generations":[]}`), 0o644))
		},
		"generation half gone": func(dir string) { s.must(os.Remove(dir + "/generations/" + string(one) + "/generation.json")) },
		"renamed away": func(dir string) {
			s.must(os.Rename(dir+"/generations/"+string(one), dir+"/generations/.muster-tmp-x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			s.must(os.CopyFS(dir, os.DirFS(s.out())))
			crash(dir)
			if _, _, err := artifacts.Verify(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			_, err := artifacts.Prune(dir, 0)
			s.must(err)
			whole(t, dir)
			if now, err := os.ReadFile(filepath.Join(dir, "generation.json")); err != nil || string(now) != string(current) {
				t.Error("the current generation is another one")
			}
		})
	}
}

func TestWhatWasServedIsKeptUntilPruned(t *testing.T) {
	s := newSite(t)
	store := s.path("store")
	var all []manifest.ConfigID
	for n := 4001; n <= 4003; n++ {
		all = append(all, s.port(n, 0))
		s.must(artifacts.Import(t.Context(), s.out(), store))
		s.must(artifacts.Import(t.Context(), s.out(), store))
		// The server's directory has no packed.json, which is genconf's; all else is as there.
		whole(t, store)
	}
	same(t, ids(t, store), all[2], all[1], all[0])
	_, err := artifacts.Prune(store, 1)
	s.must(err)
	same(t, ids(t, store), all[2], all[1])
	whole(t, store)
	// Back to an older one.
	s.port(4002, 0)
	s.must(artifacts.Import(t.Context(), s.out(), store))
	same(t, ids(t, store), all[1], all[2])
	_, err = artifacts.Prune(store, 3)
	s.must(err)
	whole(t, store)
}

func TestImportOfADamagedFileChangesNothing(t *testing.T) {
	s := newSite(t)
	store := s.path("store")
	s.port(4001, 0)
	s.must(artifacts.Import(t.Context(), s.out(), store))
	s.port(4002, 0)
	s.must(os.WriteFile(filepath.Join(s.out(), "config.json"), []byte("{}"), 0o644))
	if err := artifacts.Import(t.Context(), s.out(), store); err == nil || errors.Is(err, context.Canceled) {
		t.Fatal("no error")
	}
	_, _, err := artifacts.Verify(t.Context(), store)
	s.must(err)
}
