package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// ownSite has the user app (4711) and the group data (4712) in its private root, and no others.
func ownSite(t *testing.T, m *manifest.Manifest) *installation {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	i, _ := publisherSite(t, m)
	for name, text := range map[string]string{"passwd": "root:x:0:0::/:\napp:x:4711:4711::/:\n", "group": "root:x:0:\ndata:x:4712:\n"} {
		if err := os.MkdirAll(i.layout.at("etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(i.layout.at("etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func TestFilesAndDirectoriesGetTheirOwners(t *testing.T) {
	i := ownSite(t, &manifest.Manifest{
		Owners: []manifest.OwnedFile{{Path: "etc/app.conf", Owner: manifest.Owner{Group: "data"}}},
		Directories: []manifest.Directory{
			{Path: "db", Mode: 0o750, Owner: manifest.Owner{User: "app", Group: "4713"}},
			{Path: "db/wal/new", Mode: 0o700, Owner: manifest.Owner{User: "app"}},
			{Path: "plain", Mode: 0o755},
		},
	})
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	// Twice: a step is run again after a crash.
	for range 2 {
		if _, err := i.own(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	generation := i.layout.generation("demo", i.plan.generationID(i.manifest))
	for path, want := range map[string]struct {
		mode     os.FileMode
		uid, gid uint32
	}{
		generation + "/etc/app.conf":                  {0o640, 0, 4712},
		i.layout.data("demo"):                         {os.ModeDir | 0o755, 0, 0},
		filepath.Join(i.layout.data("demo"), "db"):    {os.ModeDir | 0o750, 4711, 4713},
		i.layout.data("demo") + "/db/wal":             {os.ModeDir | 0o755, 0, 0},
		i.layout.data("demo") + "/db/wal/new":         {os.ModeDir | 0o700, 4711, 0},
		filepath.Join(i.layout.data("demo"), "plain"): {os.ModeDir | 0o755, 0, 0},
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode() != want.mode || st.Uid != want.uid || st.Gid != want.gid {
			t.Errorf("%s is %v %d:%d, want %v %d:%d", path, info.Mode(), st.Uid, st.Gid, want.mode, want.uid, want.gid)
		}
	}
}

func TestAUserWhoDoesNotExistIsAFaultWithARemedy(t *testing.T) {
	for owner, want := range map[manifest.Owner]string{
		{User: "nobody-here"}:            "the user nobody-here, to whom the bundle gives files, does not exist on this host",
		{User: "app", Group: "no-group"}: "the group no-group, to whom the bundle gives files, does not exist on this host",
	} {
		i := ownSite(t, &manifest.Manifest{Owners: []manifest.OwnedFile{{Path: "etc/app.conf", Owner: owner}}})
		_, err := i.own(context.Background())
		if err == nil || err.Error() != want || !strings.Contains(fault.Remedy(err), "add --system n") {
			t.Errorf("got %v, remedy %q", err, fault.Remedy(err))
		}
	}
}

// A service that owns a directory may put anything into it; the agent, which is root, is not to be led away by that.
func TestAPlantedLinkIsNotFollowed(t *testing.T) {
	i := ownSite(t, &manifest.Manifest{Directories: []manifest.Directory{
		{Path: "db", Mode: 0o755, Owner: manifest.Owner{User: "app"}},
		{Path: "db/sub", Mode: 0o777, Owner: manifest.Owner{User: "app"}},
	}})
	victim := t.TempDir()
	if err := os.Chmod(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(i.layout.data("demo")+"/db", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{victim, "../.."} {
		link := i.layout.data("demo") + "/db/sub"
		os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		_, err := i.own(context.Background())
		if err == nil || !strings.HasSuffix(err.Error(), "/db/sub is to be a directory, and there is something else") {
			t.Errorf("got %v", err)
		}
	}
	if info, err := os.Stat(victim); err != nil || info.Mode().Perm() != 0o700 || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the link was followed: %v, %v", info.Mode(), err)
	}
}

func TestMissingAccountsAreFoundBeforeTheInstallation(t *testing.T) {
	if accountsCheck(&manifest.Manifest{Directories: []manifest.Directory{{Path: "a", Owner: manifest.Owner{User: "12"}}}}) != nil {
		t.Error("a number needs no check")
	}
	i, _ := publisherSite(t, &manifest.Manifest{
		Owners:      []manifest.OwnedFile{{Path: "etc/app.conf", Owner: manifest.Owner{User: "root", Group: "no-such-group"}}},
		Directories: []manifest.Directory{{Path: "a", Owner: manifest.Owner{User: "no-such-user"}}},
	})
	defs := accountsCheck(i.manifest)
	_, err := i.runChecks(context.Background(), manifest.Preflight, defs)
	if err == nil || err.Error() != "host.accounts: missing: user no-such-user, group no-such-group" {
		t.Errorf("got %v", err)
	}
}
