package artifacts_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/manifest"
)

// site is a copy of testdata/demo that a test may change.
type site struct {
	t   testing.TB
	dir string
}

func newSite(t testing.TB) site {
	t.Helper()
	s := site{t, t.TempDir()}
	// The copy has the modification times of now and, where modes are not set, those of the umask.
	s.must(os.CopyFS(filepath.Join(s.dir, "demo"), os.DirFS("testdata/demo")))
	for _, arch := range []manifest.Arch{"amd64", "arm64"} {
		s.write("agents/"+string(arch), "the bootstrap agent for "+string(arch))
	}
	return s
}

func (s site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) write(name, content string) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	s.must(os.WriteFile(s.path(name), []byte(content), 0o644))
}

// edit replaces a text that must be there.
func (s site) edit(name, old, replacement string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	s.must(err)
	if !strings.Contains(string(data), old) {
		s.t.Fatalf("%s has no %q", name, old)
	}
	s.must(os.WriteFile(s.path(name), []byte(strings.Replace(string(data), old, replacement, 1)), 0o644))
}

func (s site) load() *config.Cluster {
	s.t.Helper()
	c, problems := config.LoadCluster(s.path("demo/cluster.yaml"))
	if problems.Err() != nil {
		s.t.Fatal(problems)
	}
	return c
}

func (s site) options() artifacts.Options {
	return artifacts.Options{
		Agents: map[manifest.Arch]string{"amd64": s.path("agents/amd64"), "arm64": s.path("agents/arm64")},
		Out:    s.path("out/genconf"),
	}
}

func (s site) generate() *manifest.Generation {
	s.t.Helper()
	g, err := artifacts.Generate(context.Background(), s.load(), s.options())
	s.must(err)
	return g
}

func (s site) out() string { return s.path("out/genconf") }

// list describes everything below a directory: modes, times, links and contents.
func list(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %v", rel, info.Mode())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			fmt.Fprintf(&b, " %d %s", info.Size(), hex.EncodeToString(sum[:]))
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
