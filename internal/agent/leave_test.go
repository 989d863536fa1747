package agent

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// launched is a root in which an agent is under way, with something of everything that it keeps.
func launched(t testing.TB) (l Layout, before map[string]string) {
	t.Helper()
	l = newRoot(t)
	before = tree(t, l)
	mustMkdir(t, l.State())
	for _, path := range []string{l.seed(), l.key(), l.journal(), l.lock(), l.began(), l.started(), l.log(), l.at("var/lib/bootstrap-agent/blobs/ab"), l.at("var/lib/bootstrap-agent/checks/x")} {
		write(t, path, "x")
	}
	must(t, os.WriteFile(l.binary(), []byte("#!/bin/sh\n"), 0o700))
	must(t, os.WriteFile(l.unit(), unitText, 0o644))
	must(t, os.Symlink(l.unit(), l.wanted()))
	return l, before
}

// removals are the paths that f removes below the root, in order, as the kernel saw it.
func removals(t testing.TB, l Layout, f func()) []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	defer unix.Close(fd)
	watched := make(map[int32]string)
	must(t, filepath.WalkDir(l.Root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			wd, err := unix.InotifyAddWatch(fd, path, unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_ONLYDIR)
			if err != nil {
				return err
			}
			watched[int32(wd)] = path
		}
		return err
	}))
	f()
	var removed []string
	for buf := make([]byte, 64<<10); ; {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			return removed
		}
		must(t, err)
		for at := 0; at < n; {
			wd, length := int32(binary.NativeEndian.Uint32(buf[at:])), int(binary.NativeEndian.Uint32(buf[at+12:]))
			mask := binary.NativeEndian.Uint32(buf[at+4:])
			if mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0 {
				removed = append(removed, filepath.Join(watched[wd], string(bytes.TrimRight(buf[at+16:at+16+length], "\x00"))))
			}
			at += 16 + length
		}
	}
}

func TestLeavingLeavesNothing(t *testing.T) {
	l, before := launched(t)
	must(t, leave(t.Context(), l, new(notes).logger()))
	wantTree(t, l, before)
	if got := calls(t, l); !slices.Equal(got, []string{"daemon-reload"}) {
		t.Errorf("systemctl was called with %q", got)
	}
	must(t, leave(t.Context(), l, new(notes).logger())) // again, and without systemd
	must(t, os.RemoveAll(l.at("run/systemd")))
	must(t, leave(t.Context(), l, new(notes).logger()))
}

func TestACrashAfterAnyRemovalOfLeavingIsFinishedByTheNextStart(t *testing.T) {
	l, _ := launched(t)
	order := removals(t, l, func() { must(t, leave(t.Context(), l, new(notes).logger())) })
	if len(order) < 10 {
		t.Fatalf("only %q were removed", order)
	}
	for n := range order {
		crashed, before := launched(t)
		for _, path := range order[:n+1] {
			must(t, os.Remove(crashed.Root+strings.TrimPrefix(path, l.Root)))
		}
		starts(t, crashed)
		left := tree(t, crashed)
		for name := range maps.Keys(before) {
			delete(left, name)
		}
		if len(left) > 0 {
			t.Errorf("a crash after removal %d, %s, leaves %q", n+1, order[n], slices.Sorted(maps.Keys(left)))
		}
	}
}

// starts does what systemd does at the next boot: it runs the unit, if it is there, with its condition.
func starts(t testing.TB, l Layout) {
	t.Helper()
	if !exists(l.unit()) {
		return
	}
	_, condition, found := strings.Cut(read(t, l.unit()), "ExecCondition=/bin/sh -c '")
	condition, _, closed := strings.Cut(condition, "'\n")
	if !found || !closed {
		t.Fatal("the unit has no condition")
	}
	condition = strings.NewReplacer("/var/lib/", l.at("var/lib")+"/", "/etc/systemd/", l.at("etc/systemd")+"/").Replace(condition)
	if err := exec.Command("/bin/sh", "-c", condition).Run(); err != nil {
		return
	}
	e, err := NewEngine(l, new(notes).logger())
	must(t, err)
	must(t, e.Run(t.Context()))
}

func TestWithoutASeedTheAgentLeaves(t *testing.T) {
	l, before := launched(t)
	must(t, os.Remove(l.seed()))
	e, err := NewEngine(l, new(notes).logger())
	must(t, err)
	must(t, e.Run(t.Context()))
	wantTree(t, l, before)
}

func TestTheUnitIsOneThatSystemdTakes(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine")
	}
	path := filepath.Join(t.TempDir(), UnitName)
	// The program is not there to be found.
	write(t, path, strings.Replace(string(unitText), "ExecStart=/var/lib/bootstrap-agent/bootstrap-agent run", "ExecStart=/bin/true run", 1))
	if out, err := exec.Command(verify, "verify", "--man=no", path).CombinedOutput(); err != nil || bytes.Contains(out, []byte(UnitName)) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheUnitNamesThePlacesOfTheLayout(t *testing.T) {
	l := Layout{}
	for _, want := range []string{"ExecStart=" + l.binary() + " run\n", "test -x " + l.binary(), "rmdir " + l.State(), l.unit(), l.wanted(), "Restart=on-failure", "WantedBy=multi-user.target"} {
		if !strings.Contains(string(unitText), want) {
			t.Errorf("the unit has no %q", want)
		}
	}
}
