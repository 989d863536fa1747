package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// static is what install.sh would ask for.
func (w *works) static(role manifest.Role) (Static, *strings.Builder) {
	w.Helper()
	out := new(strings.Builder)
	for _, r := range w.generation.Roles {
		if r.Name == role {
			return Static{Role: role, Manifest: r.Manifest, Sources: []string{w.source}, Out: out}, out
		}
	}
	w.Fatalf("no role %s", role)
	return Static{}, nil
}

// listed is a cluster config that names the only master, and finds this host's address.
func listed(t testing.TB, master string) string {
	t.Helper()
	own, _ := ownIP(t)
	return fmt.Sprintf("hosts:\n  - {address: %s, name: m1, role: master}\naddress: {cidr: %s/32}\n", master, own)
}

func TestAnInstallationWithoutACoordinator(t *testing.T) {
	own, _ := ownIP(t)
	for role, want := range map[manifest.Role]string{
		"master": "name=m1\naddress=" + own.String() + "\n",
		"worker": "masters= " + own.String() + "\n",
	} {
		t.Run(string(role), func(t *testing.T) {
			w := newWorks(t, listed(t, own.String()))
			l := newRoot(t)
			s, out := w.static(role)
			if err := InstallStatic(t.Context(), l, s); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			conf := filepath.Join(l.current("demo"), map[manifest.Role]string{"master": "etc/app.conf", "worker": "etc/worker.conf"}[role])
			if got := read(t, conf); strings.ReplaceAll(got, "'", "") != want {
				t.Errorf("the config is %q, want %q", got, want)
			}
			for _, words := range []string{"fetch", "2 blobs", "unpack", "activate", "start", "demo-app.service", "ok        ready: ready as", "ok        answers: tool", "postflight"} {
				if !strings.Contains(out.String(), words) {
					t.Errorf("no %q in\n%s", words, out)
				}
			}
			if exists(l.State()) {
				t.Error("the agent's state is left behind")
			}
			must(t, Uninstall(t.Context(), l, "demo", true))
		})
	}
}

func TestPreflightOnlyChangesNothing(t *testing.T) {
	own, _ := ownIP(t)
	w := newWorks(t, listed(t, own.String()))
	l := newRoot(t)
	before := tree(t, l)
	s, out := w.static("master")
	s.PreflightOnly = true
	must(t, InstallStatic(t.Context(), l, s))
	wantTree(t, l, before)
	if !strings.Contains(out.String(), "host.systemd") || strings.Contains(out.String(), "fetch ") || len(calls(t, l)) > 0 {
		t.Errorf("it said\n%s\nand called systemctl with %q", out, calls(t, l))
	}
}

func TestAFailedPreflightInstallsNothingUnlessItIsSkipped(t *testing.T) {
	own, _ := ownIP(t)
	w := newWorks(t, listed(t, own.String()))
	l := newRoot(t)
	write(t, l.at("opt/demo/theirs"), "x")
	before := tree(t, l)
	s, out := w.static("master")
	err := InstallStatic(t.Context(), l, s)
	if err == nil || fault.Remedy(err) == "" || !strings.Contains(err.Error(), "host.installed") || !strings.Contains(out.String(), "critical  host.installed") {
		t.Errorf("%v (remedy %q)\n%s", err, fault.Remedy(err), out)
	}
	wantTree(t, l, before)
	s.SkipPreflight = true
	must(t, InstallStatic(t.Context(), l, s))
}

func TestAnInstallationWithoutACoordinatorIsRefused(t *testing.T) {
	own, _ := ownIP(t)
	complete := newWorks(t, listed(t, own.String()))
	elsewhere := newWorks(t, listed(t, "198.51.100.7"))
	incomplete := newWorks(t, "address: {cidr: "+own.String()+"/32}\n")
	for name, test := range map[string]struct {
		works   *works
		role    manifest.Role
		prepare func(Layout)
		class   fault.Class
		words   string
	}{
		"a member that is not listed": {incomplete, "worker", nil, fault.Invalid, "Roster.master[0].Address is not known without a coordinator"},
		"a host that is no member":    {elsewhere, "master", nil, fault.Conflict, own.String() + ", which is not one of the members of role master"},
		"a host that joins by a coordinator": {complete, "master", func(l Layout) { write(t, l.seed(), "x") }, fault.Conflict,
			"is joining a cluster through a coordinator"},
		"a second one at the same time": {complete, "master", func(l Layout) {
			mustMkdir(t, l.blobs())
			lock, err := Lock(l)
			must(t, err)
			t.Cleanup(func() { _ = lock.Close() })
		}, fault.Conflict, "one installation at a time"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRoot(t)
			if test.prepare != nil {
				test.prepare(l)
			}
			before := tree(t, l)
			s, _ := test.works.static(test.role)
			wantFault(t, InstallStatic(t.Context(), l, s), test.class, test.words)
			wantTree(t, l, before)
		})
	}
	t.Run("somebody who is not root", func(t *testing.T) {
		l := newRoot(t)
		s, _ := complete.static("master")
		asNobody(t, func() { wantFault(t, InstallStatic(t.Context(), l, s), fault.Denied, "needs root") })
	})
}

func TestAStaticInstallationThatFailsSaysWhyAndExitsSo(t *testing.T) {
	own, _ := ownIP(t)
	w := newWorks(t, listed(t, own.String()))
	l := newRoot(t)
	tell(t, l, "broken", "demo-app.service")
	s, out := w.static("master")
	err := InstallStatic(t.Context(), l, s)
	if err == nil || !strings.Contains(err.Error(), "unit demo-app.service did not start") || fault.Remedy(err) == "" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "start        failed: ") || !strings.Contains(out.String(), "the last words of --unit=demo-app.service") || strings.Contains(out.String(), "postflight") {
		t.Errorf("it said\n%s", out)
	}
	if !errors.Is(func() error { _, err := os.Stat(l.State()); return err }(), os.ErrNotExist) {
		t.Error("the agent's state is left behind")
	}
}

func TestARosterThatIsNoneIsRefusedAndNotAPanic(t *testing.T) {
	own, _ := ownIP(t)
	w := newWorks(t, listed(t, own.String()))
	m := *w.manifests["worker"]
	m.Roster = map[manifest.Role][]manifest.Member{"master": {{Name: "m1", Address: "; rm -rf /"}}}
	raw, err := m.Encode()
	must(t, err)
	s, _ := w.static("worker")
	s.Manifest = w.publish(raw)
	l := newRoot(t)
	if err := InstallStatic(t.Context(), l, s); err == nil {
		t.Error("it is installed")
	}
	if exists(l.Home("demo")) {
		t.Error("something is installed")
	}
}
