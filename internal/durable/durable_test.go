package durable_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
)

func TestWriteFile(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		mode    os.FileMode
	}{
		{name: "a new file gets exactly the mode", mode: 0o640},
		{name: "a umask takes nothing away", mode: 0o666, prepare: func(t *testing.T, _ string) {
			old := unix.Umask(0o077)
			t.Cleanup(func() { unix.Umask(old) })
		}},
		{name: "an old file's content and mode are replaced", mode: 0o600, prepare: func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("old"), 1000), 0o644))
		}},
		{name: "a file nobody may read stays so", mode: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if tt.prepare != nil {
				tt.prepare(t, path)
			}
			must(t, durable.WriteFile(path, []byte("new"), tt.mode))
			info, err := os.Stat(path)
			must(t, err)
			if info.Mode() != tt.mode {
				t.Errorf("mode is %v, want %v", info.Mode(), tt.mode)
			}
			must(t, os.Chmod(path, 0o600))
			wantContent(t, path, "new")
			wantNames(t, filepath.Dir(path), "file")
		})
	}
}

func TestWriteFileReplacesALinkInsteadOfFollowingIt(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "file")
	must(t, os.WriteFile(victim, []byte("untouched"), 0o600))
	must(t, os.Symlink(victim, path))
	must(t, durable.WriteFile(path, []byte("new"), 0o600))
	wantContent(t, victim, "untouched")
	wantContent(t, path, "new")
}

func TestCopyFileReplacesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	from, path := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	content := bytes.Repeat([]byte("content"), 300_000)
	must(t, os.WriteFile(from, content, 0o400))
	must(t, os.WriteFile(path, []byte("old"), 0o644))
	must(t, durable.CopyFile(from, path, 0o700))
	wantContent(t, path, string(content))
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := durable.CopyFile(from+"x", path, 0o700); err == nil || !strings.Contains(err.Error(), "fromx") {
		t.Errorf("a copy of nothing: %v", err)
	}
	wantContent(t, path, string(content))
	wantNames(t, dir, "from", "to")
}

func TestFailuresLeaveNothingBehindAndNameThePath(t *testing.T) {
	dir := t.TempDir()
	occupied := filepath.Join(dir, "occupied")
	must(t, os.MkdirAll(filepath.Join(occupied, "child"), 0o755))
	file := filepath.Join(dir, "plain")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	dangling := filepath.Join(dir, "dangling")
	must(t, os.Symlink("nowhere", dangling))
	tests := []struct {
		name string
		do   func() error
		want string
	}{
		{"a set-user-id mode is refused", func() error { return durable.WriteFile(occupied+"x", nil, 0o755|os.ModeSetuid) }, "0777"},
		{"a directory is not overwritten by a file", func() error { return durable.WriteFile(occupied, nil, 0o600) }, "occupied"},
		{"a directory is not overwritten by a link", func() error { return durable.Symlink("plain", occupied) }, "occupied"},
		{"a missing directory is named", func() error { return durable.WriteFile(filepath.Join(dir, "no", "f"), nil, 0o600) }, "no"},
		{"a file in the way of a directory is named", func() error { return durable.MkdirAll(filepath.Join(file, "sub"), 0o755) }, "plain"},
		{"a dangling link in the way of a directory is named", func() error { return durable.MkdirAll(dangling, 0o755) }, "dangling"},
		{"the root is not removed", func() error { return durable.RemoveAll("/") }, "refused"},
		{"the working directory is not removed", func() error { return durable.RemoveAll("") }, "refused"},
		{"a parent is not removed", func() error { return durable.RemoveAll("../..") }, "refused"},
		{"syncing a missing tree fails", func() error { return durable.SyncTree(filepath.Join(dir, "no")) }, "no"},
		{"renaming a missing file fails", func() error { return durable.Rename(filepath.Join(dir, "no"), file) }, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			wantNames(t, dir, "dangling", "occupied", "plain")
		})
	}
}

func TestSymlinkReplacesALinkInOneStep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "current")
	for _, target := range []string{"generations/a", "generations/b"} {
		must(t, durable.Symlink(target, path))
		got, err := os.Readlink(path)
		must(t, err)
		if got != target {
			t.Errorf("link points to %q, want %q", got, target)
		}
	}
	wantNames(t, dir, "current")
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a", "tree"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "b"), 0o755))
	must(t, durable.SyncTree(filepath.Join(dir, "a")))
	must(t, durable.Rename(filepath.Join(dir, "a", "tree"), filepath.Join(dir, "b", "tree")))
	wantNames(t, filepath.Join(dir, "a"))
	wantNames(t, filepath.Join(dir, "b"), "tree")
}

func TestSyncTreeTakesSmallAndLargeTrees(t *testing.T) {
	for _, files := range []int{0, 3, 200} {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
		must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
		for i := range files {
			must(t, os.WriteFile(filepath.Join(dir, "sub", strings.Repeat("f", i+1)), []byte("x"), 0o600))
		}
		must(t, durable.SyncTree(dir))
	}
}

func TestRemoveAll(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	outside := filepath.Join(dir, "outside")
	must(t, os.MkdirAll(filepath.Join(tree, "a", "b"), 0o755))
	must(t, os.WriteFile(outside, []byte("kept"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(tree, "a", "link")))
	must(t, durable.RemoveAll(tree))
	must(t, durable.RemoveAll(tree))
	must(t, durable.RemoveAll(filepath.Join(dir, "no", "parent")))
	wantNames(t, dir, "outside")
	wantContent(t, outside, "kept")
}

func TestMkdirAllGivesEachNewDirectoryTheMode(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	must(t, durable.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	must(t, durable.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "a"): 0o755, filepath.Join(dir, "a", "b"): 0o755} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	wantNames(t, dir, "a")
}

func TestCleanTempRemovesWhatIsUnfinishedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, durable.TempPrefix+"1", "deep"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, durable.TempPrefix+"2"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "kept"), nil, 0o600))
	must(t, durable.CleanTemp(dir))
	wantNames(t, dir, "kept")
	must(t, durable.CleanTemp(filepath.Join(dir, "missing")))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}
