package artifacts_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/artifacts"
	"muster/internal/manifest"
)

func TestInterruptedGenerationLeavesThePreviousOne(t *testing.T) {
	s := newSite(t)
	s.generate()
	before := list(t, s.path("out"))
	// Everything is packed anew, and the run is interrupted at each sentence of its progress in turn.
	s.write("demo/packages/app/amd64/share/words", strings.Repeat("other words\n", 1000))
	s.write("demo/packages/app/arm64/share/words", "more")
	s.write("demo/packages/common/share/words", "more")
	interrupted := 0
	for n := 1; n < 10; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		said := 0
		opts := s.options()
		opts.Progress = func(string) {
			if said++; said == n {
				cancel()
			}
		}
		_, err := artifacts.Generate(ctx, s.load(), opts)
		cancel()
		if err == nil {
			break
		}
		interrupted++
		if after := list(t, s.path("out")); after != before {
			t.Fatalf("interrupted at %d: before\n%safter\n%s", n, before, after)
		}
	}
	if interrupted == 0 {
		t.Error("no run was interrupted")
	}
}

func TestLeftoversAreRemovedButNotTheWorkOfOthers(t *testing.T) {
	s := newSite(t)
	s.write("out/.genconf-left/blobs/aa/x", "")
	s.write("out/.genconf-busy/blobs/aa/x", "")
	s.write("out/.genconf-file", "not ours: not a directory")
	busy, err := os.Open(s.path("out/.genconf-busy"))
	s.must(err)
	defer busy.Close()
	s.must(unix.Flock(int(busy.Fd()), unix.LOCK_EX))
	s.generate()
	for name, want := range map[string]bool{".genconf-left": false, ".genconf-busy": true, ".genconf-file": true} {
		if _, err := os.Stat(s.path("out/" + name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnchangedBlobsAreTakenOver(t *testing.T) {
	s := newSite(t)
	g := s.generate()
	agent := filepath.Join(s.out(), manifest.BlobPath(g.Agents["amd64"].Digest))
	before := inode(t, agent)
	s.edit("demo/cluster.yaml", "roles:", "parameters: {port: 4001}\nroles:")
	packed := false
	opts := s.options()
	opts.Progress = func(line string) { packed = packed || strings.HasPrefix(line, "packing") }
	_, err := artifacts.Generate(t.Context(), s.load(), opts)
	s.must(err)
	if inode(t, agent) != before {
		t.Error("the bootstrap agent was copied again")
	}
	if packed {
		t.Error("a package was packed again")
	}
	_, _, err = artifacts.Verify(t.Context(), s.out())
	s.must(err)
}

func TestDamagedBlobsAreNotTakenOver(t *testing.T) {
	s := newSite(t)
	s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	want := list(t, s.out())
	for _, b := range manifests["master"].Packages[0].Blobs {
		path := filepath.Join(s.out(), manifest.BlobPath(b.Digest))
		data, err := os.ReadFile(path)
		s.must(err)
		data[len(data)/2] ^= 1
		s.must(os.WriteFile(path, data, 0o644))
	}
	s.generate()
	if got := list(t, s.out()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestLinkAtTheOutputStays(t *testing.T) {
	s := newSite(t)
	s.must(os.MkdirAll(s.path("out/real"), 0o755))
	s.must(os.Symlink("real", s.out()))
	s.generate()
	s.generate()
	if target, err := os.Readlink(s.out()); err != nil || target != "real" {
		t.Errorf("%q, %v", target, err)
	}
	if _, _, err := artifacts.Load(s.path("out/real")); err != nil {
		t.Error(err)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
