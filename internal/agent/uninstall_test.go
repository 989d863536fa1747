package agent

import (
	"os"
	"slices"
	"strings"
	"testing"

	"muster/internal/fault"
)

func TestUninstallLeavesTheHostAsItWas(t *testing.T) {
	w := newWorks(t, "")
	for name, purge := range map[string]bool{"with its data": true, "without its data": false} {
		t.Run(name, func(t *testing.T) {
			l := newRoot(t)
			before := tree(t, l)
			w.mustInstall(l, nil)
			write(t, l.at("var/lib/demo/db"), "precious")
			write(t, l.at("opt/.muster-tmp-LEFT"), "half")
			must(t, Uninstall(t.Context(), l, "demo", purge))
			if !purge {
				if read(t, l.at("var/lib/demo/db")) != "precious" {
					t.Error("the data is not what it was")
				}
				must(t, os.RemoveAll(l.data("demo")))
			}
			wantTree(t, l, before)
			must(t, Uninstall(t.Context(), l, "demo", purge)) // again
		})
	}
}

func TestUninstallRefusesAndChangesNothing(t *testing.T) {
	l := newRoot(t)
	write(t, l.at("opt/demo/x"), "x")
	write(t, l.at("var/lib/demo/x"), "x")
	before := tree(t, l)
	for _, name := range []string{"", ".", "..", "../demo", "demo/..", "/", "/opt/demo", "demo\x00", "demo\n", "-demo", "demo-", "Demo", "de mo", "*", strings.Repeat("a", 64)} {
		wantFault(t, Uninstall(t.Context(), l, name, true), fault.Invalid, "is not the name of a cluster")
		wantTree(t, l, before)
	}
	asNobody(t, func() { wantFault(t, Uninstall(t.Context(), l, "demo", true), fault.Denied, "needs root") })
	wantTree(t, l, before)
	if c := calls(t, l); len(c) > 0 {
		t.Errorf("systemctl was called: %q", c)
	}
}

func TestUninstallEndsTheAgentThatIsUnderWay(t *testing.T) {
	s := newSite(t)
	l := newRoot(t)
	before := tree(t, l)
	if _, err := Launch(t.Context(), l, s.seed("loner")); err != nil {
		t.Fatal(err)
	}
	must(t, Uninstall(t.Context(), l, "demo", false))
	wantTree(t, l, before)
	if c := calls(t, l); !slices.Contains(c, "stop bootstrap-agent.service") {
		t.Errorf("systemctl was called with %q", c)
	}
}

func TestUninstallLeavesTheAgentOfAnotherClusterAlone(t *testing.T) {
	s := newSite(t)
	l := newRoot(t)
	if _, err := Launch(t.Context(), l, someSeed(t, s, "demo-two")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, l)
	newWorks(t, "").mustInstall(l, nil)
	for _, path := range []string{l.blobs(), l.scratch(), l.began(), l.started()} {
		must(t, os.RemoveAll(path)) // this installation's
	}
	must(t, Uninstall(t.Context(), l, "demo", false))
	wantTree(t, l, before)
	if c := calls(t, l); slices.Contains(c, "stop bootstrap-agent.service") {
		t.Errorf("systemctl was called with %q", c)
	}
}

func TestUninstallAfterACrashInTheMiddleOfActivationOrOfItself(t *testing.T) {
	w := newWorks(t, "")
	for _, gone := range [][]string{{"demo.target"}, {"demo-app.service"}, {"demo-app.service", "demo.target"}} {
		l := newRoot(t)
		before := tree(t, l)
		w.mustInstall(l, nil)
		must(t, os.Remove(l.units("multi-user.target.wants", "demo.target")))
		for _, name := range gone {
			must(t, os.Remove(l.units(name)))
		}
		if err := Uninstall(t.Context(), l, "demo", true); err != nil {
			t.Errorf("without %q: %v", gone, err)
		}
		wantTree(t, l, before)
	}
}

func TestUninstallSaysWhatSystemdSaysAndKeepsWhatRuns(t *testing.T) {
	l := newRoot(t)
	newWorks(t, "").mustInstall(l, nil)
	before := tree(t, l)
	tell(t, l, "fails", "stop")
	wantFault(t, Uninstall(t.Context(), l, "demo", true), fault.Unavailable, "told to fail")
	wantTree(t, l, before)
}
