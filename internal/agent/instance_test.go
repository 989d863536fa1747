package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/fault"
)

// boots says which instance cloud-init takes the host for; "" for no cloud-init.
func boots(t testing.TB, l Layout, instance string) {
	t.Helper()
	if instance == "" {
		must(t, os.RemoveAll(filepath.Dir(l.thisInstance())))
		return
	}
	write(t, l.thisInstance(), instance+"\n")
}

func TestAnImageOfAnInstalledHostBecomesAHostOfItsOwn(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	l := newRoot(t)
	boots(t, l, "i-0aaa")
	newWorks(t, "").mustInstall(l, nil)
	write(t, l.at("var/lib/demo/db"), "of i-0aaa")
	write(t, l.at("var/lib/demo.i-0aaa/db"), "of the image before")

	boots(t, l, "i-0bbb")
	if _, err := Launch(t.Context(), l, s.seed("loner")); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{l.Home("demo"), l.data("demo"), l.units("demo.target"), l.units("demo-app.service"), l.guardDir("demo")} {
		if exists(gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	if got := read(t, l.at("var/lib/demo.i-0aaa.2/db")) + ", " + read(t, l.at("var/lib/demo.i-0aaa/db")); got != "of i-0aaa, of the image before" {
		t.Errorf("the data that was moved aside is %q", got)
	}
	c := calls(t, l)
	stopped := slices.IndexFunc(c, func(call string) bool {
		return strings.HasPrefix(call, "stop ") && strings.Contains(call, "demo-app.service")
	})
	if stopped < 0 || !slices.Contains(c[stopped:], "restart --no-block bootstrap-agent.service") {
		t.Errorf("systemctl was called with %q", c)
	}
	if got := read(t, madeFor(l.State())); got != "i-0bbb\n" {
		t.Errorf("the bootstrap agent is that of %q", got)
	}
}

func TestOnlyAnotherInstanceIsACopy(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	for name, at := range map[string]struct{ installed, launched string }{
		"the same instance":                 {"i-0aaa", "i-0aaa"},
		"no cloud-init":                     {"", ""},
		"cloud-init came later":             {"", "i-0aaa"},
		"cloud-init is gone":                {"i-0aaa", ""},
		"a name that could break the guard": {"i'; reboot; '", "i-0aaa"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRoot(t)
			boots(t, l, at.installed)
			newWorks(t, "").mustInstall(l, nil)
			for _, path := range []string{l.State()} {
				must(t, os.RemoveAll(path)) // the agent has left
			}
			boots(t, l, at.launched)
			before, was := tree(t, l), len(calls(t, l))
			_, err := Launch(t.Context(), l, s.seed("loner"))
			wantFault(t, err, fault.Conflict, "cluster demo is already installed")
			wantTree(t, l, before)
			if c := calls(t, l)[was:]; len(c) > 0 {
				t.Errorf("systemctl was called: %q", c)
			}
		})
	}
}

func TestTheGuardIsThereForNamedInstancesAndGoesWithTheInstallation(t *testing.T) {
	needRoot(t)
	w := newWorks(t, "")
	l := newRoot(t)
	boots(t, l, "i-0aaa")
	before := tree(t, l)
	w.mustInstall(l, nil)
	if text := read(t, l.guardFile("demo")); !strings.Contains(text, "grep -qxF -e i-0aaa ") || strings.Contains(text, "$(") {
		t.Errorf("the guard is\n%s", text)
	}
	write(t, filepath.Join(l.guardDir("demo"), "own.conf"), "# the operator's\n")
	must(t, Uninstall(t.Context(), l, "demo", true))
	if exists(l.guardFile("demo")) || !exists(filepath.Join(l.guardDir("demo"), "own.conf")) {
		t.Error("the guard is there, or the operator's drop-in is gone")
	}
	must(t, os.RemoveAll(l.guardDir("demo")))
	wantTree(t, l, before)

	other := newRoot(t)
	w.mustInstall(other, nil)
	if exists(other.guardDir("demo")) || exists(madeFor(other.Home("demo"))) {
		t.Error("a host without cloud-init has a guard")
	}
}

func TestTheAgentOfAnImageDoesNothing(t *testing.T) {
	s := newSite(t)
	h := s.host("worker")
	boots(t, h.layout, "i-0aaa")
	must(t, h.layout.claimFor(h.layout.State()))
	stop, _ := h.begin()
	await(t, "it has joined", func() bool { return h.described() != nil })
	stop()
	key := stored(t, h.layout).key

	// It ends by itself, with nobody to tell it to.
	s.down()
	boots(t, h.layout, "i-0bbb")
	before := tree(t, h.layout)
	_, ended := h.begin()
	h.wantEnd(ended)
	wantTree(t, h.layout, before)

	s.restart(0)
	if _, err := Launch(t.Context(), h.layout, s.seed("worker")); err != nil {
		t.Fatal(err)
	}
	if id, err := loadIdentity(h.layout); err != nil || id.key.Equal(key) {
		t.Errorf("the key is the other host's (error %v)", err)
	}
}

func TestTheDataOfACopyStaysWhenItCannotBeMoved(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	l := newRoot(t)
	boots(t, l, "i-0aaa")
	newWorks(t, "").mustInstall(l, nil)
	write(t, l.at("var/lib/demo/db"), "precious")
	boots(t, l, "i-0bbb")
	done := tell(t, l, "fails", "stop")
	_, err := Launch(t.Context(), l, s.seed("loner"))
	wantFault(t, err, fault.Unavailable, "told to fail")
	if read(t, l.at("var/lib/demo/db")) != "precious" || !exists(l.current("demo")) || exists(l.State()) && exists(l.seed()) {
		t.Error("something was moved or begun")
	}
	done()
	// Cut short after the data was moved: the rest is done by the next launch, and nothing twice.
	must(t, setAside(t.Context(), l, "demo", "i-0aaa"))
	if _, err := Launch(t.Context(), l, s.seed("loner")); err != nil {
		t.Fatal(err)
	}
	if exists(l.Home("demo")) || exists(l.data("demo")) || read(t, l.at("var/lib/demo.i-0aaa/db")) != "precious" {
		t.Error("the copy is not put aside")
	}
}
