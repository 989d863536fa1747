package identity_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/identity"
)

func TestCreateWritesAPrivateDirectory(t *testing.T) {
	ca, dir := newCA(t, start)
	modes := map[string]os.FileMode{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		modes[e.Name()] = info.Mode()
	}
	want := map[string]os.FileMode{
		"root.crt": 0o644, "root.key": 0o600, "hosts-ca.crt": 0o644, "hosts-ca.key": 0o600, "server-ca.crt": 0o644, "server-ca.key": 0o600,
		"operators-ca.crt": 0o644, "operators-ca.key": 0o600,
	}
	if len(modes) != len(want) {
		t.Errorf("files: %v", modes)
	}
	for name, mode := range want {
		if modes[name] != mode {
			t.Errorf("%s has mode %v, want %v", name, modes[name], mode)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if !bytes.Equal(ca.RootPEM(), read(t, filepath.Join(dir, "root.crt"))) {
		t.Error("RootPEM is not root.crt")
	}
	if want := start.Add(2 * 365 * 24 * time.Hour); !ca.NotAfter().Equal(want) {
		t.Errorf("it ends %v, want %v", ca.NotAfter(), want)
	}
}

func TestCreateTakesAnEmptyDirectoryAndNoOther(t *testing.T) {
	empty := t.TempDir()
	if _, err := identity.Create(empty, cluster, start); err != nil {
		t.Errorf("empty directory: %v", err)
	}
	before := read(t, filepath.Join(empty, "root.key"))
	if ca, err := identity.Create(empty, cluster, start); !errors.Is(err, fs.ErrExist) || ca != nil {
		t.Errorf("directory with a CA: %v", err)
	}
	if !bytes.Equal(before, read(t, filepath.Join(empty, "root.key"))) {
		t.Error("the key was replaced")
	}
}

func TestClusterNamesThatCreateRefuses(t *testing.T) {
	for _, name := range []string{"", "Demo", "a.b", "-a", "a-", "a b", "a/b", "ä", strings.Repeat("a", 64)} {
		dir := filepath.Join(t.TempDir(), "ca")
		if _, err := identity.Create(dir, name, start); err == nil {
			t.Errorf("%q was accepted", name)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q left a directory", name)
		}
	}
}

func TestLoadGivesTheSameCA(t *testing.T) {
	ca, dir := newCA(t, start)
	again, err := identity.Load(dir, cluster, start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ca.RootPEM(), again.RootPEM()) || again.Cluster() != cluster {
		t.Error("another CA came back")
	}
}

func TestLoadWorksWithTheRootKeyOffline(t *testing.T) {
	_, dir := newCA(t, start)
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]func(string, string, time.Time) (*identity.CA, error){"Load": identity.Load, "Open": identity.Open} {
		ca, err := load(dir, cluster, start)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, _, _, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, start, time.Hour); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadRefusesFilesThatAreNotWhole(t *testing.T) {
	_, other := newCA(t, start)
	files := []string{"root.crt", "root.key", "hosts-ca.crt", "hosts-ca.key", "server-ca.crt", "server-ca.key", "operators-ca.crt", "operators-ca.key"}
	for name, damage := range map[string]func(t *testing.T, path string){
		"zero bytes": func(t *testing.T, path string) { write(t, path, nil, 0o600) },
		"half of it": func(t *testing.T, path string) { text := read(t, path); write(t, path, text[:len(text)/2], 0o600) },
		"zeros":      func(t *testing.T, path string) { write(t, path, make([]byte, len(read(t, path))), 0o600) },
		"twice":      func(t *testing.T, path string) { text := read(t, path); write(t, path, append(text, text...), 0o600) },
		"too long":   func(t *testing.T, path string) { write(t, path, make([]byte, 1<<20), 0o600) },
		"another CA's": func(t *testing.T, path string) {
			write(t, path, read(t, filepath.Join(other, filepath.Base(path))), 0o600)
		},
		"a directory": func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, file := range files {
			t.Run(file+" is "+name, func(t *testing.T) {
				_, dir := newCA(t, start)
				path := filepath.Join(dir, file)
				damage(t, path)
				wantFileError(t, dir, func(e *identity.FileError) bool {
					// With another root.crt, it is the first file that does not fit to it that is named.
					return e.Path == path || name == "another CA's"
				})
			})
		}
	}
	for _, file := range files {
		if file == "root.key" || file == "operators-ca.crt" {
			continue // both may be
		}
		t.Run(file+" is missing", func(t *testing.T) {
			_, dir := newCA(t, start)
			path := filepath.Join(dir, file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			wantFileError(t, dir, func(e *identity.FileError) bool { return e.Path == path && errors.Is(e, fs.ErrNotExist) })
		})
	}
}

func TestLoadRefusesIntermediatesThatAreSwapped(t *testing.T) {
	for _, other := range []string{"server-ca", "operators-ca"} {
		_, dir := newCA(t, start)
		for _, ext := range []string{".crt", ".key"} {
			hosts, others := filepath.Join(dir, "hosts-ca"+ext), filepath.Join(dir, other+ext)
			h, o := read(t, hosts), read(t, others)
			write(t, hosts, o, 0o600)
			write(t, others, h, 0o600)
		}
		wantFileError(t, dir, func(e *identity.FileError) bool {
			return strings.Contains(e.Problem, "not the intermediate certificate for hosts")
		})
	}
}

func TestLoadRefusesKeysThatOthersCanUse(t *testing.T) {
	for _, file := range []string{"root.key", "hosts-ca.key", "server-ca.key", "operators-ca.key"} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601, 0o644} {
			_, dir := newCA(t, start)
			path := filepath.Join(dir, file)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			wantFileError(t, dir, func(e *identity.FileError) bool {
				return e.Path == path && strings.Contains(e.Remedy, "chmod 600")
			})
		}
	}
}

func TestLoadRefusesADirectoryThatOthersCanWrite(t *testing.T) {
	_, dir := newCA(t, start)
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	wantFileError(t, dir, func(e *identity.FileError) bool { return e.Path == dir && strings.Contains(e.Remedy, "chmod 700") })
}

func TestLoadRefusesTheCAOfAnotherCluster(t *testing.T) {
	_, dir := newCA(t, start)
	if ca, err := identity.Load(dir, "other", start); err == nil || ca != nil || !strings.Contains(err.Error(), cluster) {
		t.Errorf("got %v", err)
	}
}

func TestLoadRefusesTheWrongTime(t *testing.T) {
	_, dir := newCA(t, start)
	if ca, err := identity.Load(dir, cluster, start.Add(-time.Hour)); err == nil || ca != nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("before the CA was made: %v", err)
	}
	late := start.Add(2*365*24*time.Hour + time.Minute)
	if ca, err := identity.Load(dir, cluster, late); err == nil || ca != nil || !strings.Contains(err.Error(), "root.key") {
		t.Errorf("after the intermediates ended: %v", err)
	}
}

func TestOpenRenewsWithTheRootKey(t *testing.T) {
	ca, dir := newCA(t, start)
	key := newKey(t)
	chain, _, _, err := ca.IssueHost(newCSR(t, key), hostA, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	hostsKey := read(t, filepath.Join(dir, "hosts-ca.key"))
	for _, c := range []struct {
		name string
		days time.Duration
	}{{"in the last third", 500}, {"after they expired", 1500}} {
		name, now := c.name, start.Add(c.days*24*time.Hour)
		renewed, err := identity.Open(dir, cluster, now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !renewed.NotAfter().After(now.Add(365 * 24 * time.Hour)) {
			t.Errorf("%s: it ends %v", name, renewed.NotAfter())
		}
		if !bytes.Equal(renewed.RootPEM(), ca.RootPEM()) || !bytes.Equal(hostsKey, read(t, filepath.Join(dir, "hosts-ca.key"))) {
			t.Errorf("%s: another root or key", name)
		}
		if _, err := identity.Load(dir, cluster, now); err != nil {
			t.Errorf("%s: what was written does not load: %v", name, err)
		}
		// A host whose certificate came before the renewal still gets in.
		if err := verifyHost(renewed, chain, start.Add(time.Minute)); err != nil {
			t.Errorf("%s: an earlier certificate: %v", name, err)
		}
	}
}

func TestOpenWithoutTheRootKeyRenewsNothing(t *testing.T) {
	ca, dir := newCA(t, start)
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	again, err := identity.Open(dir, cluster, start.Add(600*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if !again.NotAfter().Equal(ca.NotAfter()) {
		t.Error("it was renewed by nobody")
	}
	if _, err := identity.Open(dir, cluster, start.Add(800*24*time.Hour)); err == nil || !strings.Contains(err.Error(), "put root.key back") {
		t.Errorf("after the end: %v", err)
	}
}

func TestOpenByManyAtOnceMakesOneCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "ca")
	roots := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range roots {
		wg.Go(func() {
			ca, err := identity.Open(dir, cluster, start)
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = ca.RootPEM()
		})
	}
	wg.Wait()
	if n := len(slices.CompactFunc(roots, bytes.Equal)); n != 1 {
		t.Errorf("%d different roots", n)
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestOpenNeverCreatesOverRemains(t *testing.T) {
	_, dir := newCA(t, start)
	if err := os.Remove(filepath.Join(dir, "root.crt")); err != nil {
		t.Fatal(err)
	}
	key := read(t, filepath.Join(dir, "root.key"))
	ca, err := identity.Open(dir, cluster, start)
	if fe := (*identity.FileError)(nil); ca != nil || !errors.As(err, &fe) || fe.Path != filepath.Join(dir, "root.crt") {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(key, read(t, filepath.Join(dir, "root.key"))) {
		t.Error("the key was replaced")
	}
}

func wantFileError(t *testing.T, dir string, right func(*identity.FileError) bool) {
	t.Helper()
	ca, err := identity.Load(dir, cluster, start)
	var e *identity.FileError
	if ca != nil || !errors.As(err, &e) {
		t.Fatalf("want a FileError, got %v", err)
	}
	if !right(e) || e.Remedy == "" || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "PRIVATE KEY-----\nM") {
		t.Errorf("the error shows a key: %v", err)
	}
}
