package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test program is also the bootstrap agent: started as <root>/var/lib/bootstrap-agent/bootstrap-agent run, or with
// a private root in the environment, it works there.
const (
	rootVariable = "MUSTER_TEST_ROOT"
	killVariable = "MUSTER_TEST_KILL_AFTER" // ends the agent by SIGKILL after so many writes of its journal
)

func TestMain(m *testing.M) {
	root := os.Getenv(rootVariable)
	if self, err := os.Executable(); err == nil && root == "" {
		root, _ = strings.CutSuffix(self, "/var/lib/bootstrap-agent/bootstrap-agent")
		if root == self {
			root = ""
		}
	}
	if root != "" {
		if err := beAgent(Layout{root}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beAgent(l Layout) error {
	lock, err := Lock(l)
	if err != nil {
		return err
	}
	defer lock.Close()
	e, err := NewEngine(l, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	written, _ := strconv.Atoi(os.Getenv(killVariable))
	count := 0
	e.kept = func() {
		if count++; count == written {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	err = e.Run(context.Background())
	fmt.Println(count)
	return err
}

// newRoot is a private root with a service manager of its own.
func newRoot(t testing.TB) Layout {
	t.Helper()
	l := Layout{t.TempDir()}
	must(t, os.Chmod(l.Root, 0o755))
	// With firmware that names no cloud, no metadata service is looked for.
	for _, dir := range []string{"opt", "var/lib", "run/systemd/system", "usr/bin", "etc/systemd/system/multi-user.target.wants", "sys/class/dmi/id"} {
		must(t, os.MkdirAll(l.at(dir), 0o755))
	}
	must(t, os.Symlink("/proc", l.at("proc")))
	program, err := os.ReadFile("testdata/systemctl")
	must(t, err)
	must(t, os.WriteFile(l.at("usr/bin/systemctl"), program, 0o755))
	write(t, l.at("usr/bin/journalctl"), "#!/bin/sh\necho the last words of $5\n")
	must(t, os.Chmod(l.at("usr/bin/journalctl"), 0o755))
	return l
}

// calls are those of systemctl so far.
func calls(t testing.TB, l Layout) []string {
	t.Helper()
	text, err := os.ReadFile(l.at("systemctl.calls"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// tell makes the root's systemctl fail at a verb or with a unit: tell(l, "fails", "start"), tell(l, "broken", "x.service").
func tell(t testing.TB, l Layout, how, what string) (mend func()) {
	t.Helper()
	path := l.at("systemctl."+how, what)
	write(t, path, "")
	return func() { must(t, os.Remove(path)) }
}

var generationName = regexp.MustCompile(`[0-9a-f]{12}-[0-9a-f]{8}`)

// tree is all that is below a private root but the service manager's own, with modes and contents. The names of
// generations differ with the coordinator's ports and are told as one.
func tree(t testing.TB, l Layout) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(l.Root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(l.Root, path)
		if strings.HasPrefix(name, "systemctl.") || strings.HasPrefix(name, "run/active") {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		said := info.Mode().String()
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			said += " → " + strings.TrimPrefix(target, l.Root)
		case e.Type().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if len(text) > 1<<16 {
				sum := sha256.Sum256(text)
				text = sum[:]
			}
			said += " " + string(text)
		}
		all[generationName.ReplaceAllString(name, "ID")] = generationName.ReplaceAllString(said, "ID")
		return nil
	}))
	return all
}

func wantTree(t testing.TB, l Layout, want map[string]string) {
	t.Helper()
	got := tree(t, l)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] != got[name] {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// patience is longer than a person would wait before thinking that nothing happens.
const patience = 40 * time.Second

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// needRoot skips what installs: preflight asks for root, and files are given to it.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("installing needs root, also in a private root")
	}
}

// asNobody calls f on a thread that is not root; the thread ends with it.
func asNobody(t testing.TB, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		same := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, 65534, same); errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	must(t, <-done)
}

// ownIP is an address of this machine that other hosts can reach.
func ownIP(t testing.TB) (netip.Addr, string) {
	t.Helper()
	interfaces, err := net.Interfaces()
	must(t, err)
	for _, ifc := range interfaces {
		addresses, err := ifc.Addrs()
		must(t, err)
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() && p.Addr().Is4() {
				return p.Addr(), ifc.Name
			}
		}
	}
	t.Skip("this machine has no address that other hosts could reach")
	return netip.Addr{}, ""
}
