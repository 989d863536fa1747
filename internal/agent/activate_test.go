package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/fetch"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
)

// recorder is a Teller that remembers the steps and the last failure.
type recorder struct {
	phase  hosts.Phase
	steps  []string
	failed error
}

func (r *recorder) Phase(p hosts.Phase) error { r.phase = p; return nil }

func (r *recorder) Step(_ hosts.Phase, name, _ string, _ time.Duration, err error) error {
	r.steps = append(r.steps, name)
	if err != nil {
		r.failed = err
	}
	return nil
}

func (r *recorder) Check(checks.Result) error { return nil }

func (r *recorder) Progress(string, int64, int64, string) {}

// works is a generation that is served, and installations from it.
type works struct {
	testing.TB
	dir, source string
	generation  *manifest.Generation
	manifests   map[manifest.Role]*manifest.Manifest
}

func newWorks(t testing.TB, more string) *works {
	t.Helper()
	needRoot(t)
	listener := listen(t, "127.0.0.1:0")
	w := &works{TB: t, dir: generate(t, port(listener), 8443, more), source: "http://" + listener.Addr().String()}
	serveBlobs(t, listener, w.dir)
	var err error
	w.generation, w.manifests, err = artifacts.Load(w.dir)
	must(t, err)
	return w
}

// publish serves these bytes as a blob, as a hostile source or a careless publisher may.
func (w *works) publish(raw []byte) manifest.Blob {
	w.Helper()
	sum := sha256.Sum256(raw)
	b := manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(sum[:])), Size: int64(len(raw))}
	path := filepath.Join(w.dir, fetch.Path(b.Digest))
	must(w, os.MkdirAll(filepath.Dir(path), 0o755))
	must(w, os.WriteFile(path, raw, 0o644))
	return b
}

// install is the role's installation on a host, changed.
func (w *works) install(l Layout, change func(*manifest.Manifest, *Plan)) (*installation, *recorder) {
	w.Helper()
	copied := *w.manifests["loner"]
	copied.Units = slices.Clone(copied.Units)
	copied.Packages = slices.Clone(copied.Packages)
	plan := Plan{ID: "p", Role: "loner", Sources: []string{w.source}, Late: map[string]string{}}
	for _, ref := range late.Refs(copied.Late) {
		plan.Late[ref] = map[string]string{"Host.Name": "node-1", "Host.Address": "10.1.2.3"}[ref]
	}
	if change != nil {
		change(&copied, &plan)
	}
	raw, err := copied.Encode()
	must(w, err)
	plan.Manifest = w.publish(raw)
	mustMkdir(w, l.State())
	r := &recorder{}
	return &installation{layout: l, cluster: "demo", plan: plan, systemd: systemd{l}, tell: r}, r
}

func (w *works) mustInstall(l Layout, change func(*manifest.Manifest, *Plan)) *installation {
	w.Helper()
	i, r := w.install(l, change)
	if err := i.run(w.Context(), installSteps, hosts.Done); err != nil || r.failed != nil || r.phase != hosts.Done {
		w.Fatalf("%v, %v after %q", err, r.failed, r.steps)
	}
	return i
}

func TestAHostileManifestOrPlanIsRefusedWithNothingChanged(t *testing.T) {
	w := newWorks(t, "")
	for name, test := range map[string]struct {
		change func(*manifest.Manifest, *Plan)
		words  string
	}{
		"a unit outside": {func(m *manifest.Manifest, _ *Plan) {
			m.Units[0] = manifest.Unit{Name: "../x.service", Path: "units/../x.service"}
		}, "the manifest"},
		"a unit of another cluster": {func(m *manifest.Manifest, _ *Plan) {
			m.Units[0] = manifest.Unit{Name: "sshd.service", Path: "units/sshd.service"}
		}, "the manifest"},
		"a unit from elsewhere": {func(m *manifest.Manifest, _ *Plan) { m.Units[0].Path = "/etc/passwd" }, "the manifest"},
		"a link outside": {func(m *manifest.Manifest, _ *Plan) {
			m.Packages[0].Links = map[manifest.Arch][]string{"amd64": {"bin/../../../../x"}, "arm64": {"bin/../../../../x"}}
		}, "the manifest"},
		"a package outside": {func(m *manifest.Manifest, _ *Plan) { m.Packages[0].Name = "../../x" }, "the manifest"},
		"another cluster": {func(m *manifest.Manifest, _ *Plan) {
			*m = *cloned(m, func(m *manifest.Manifest) { m.Cluster, m.Units = "demo-two", nil })
		}, `for cluster "demo-two"`},
		"another role":         {func(_ *manifest.Manifest, p *Plan) { p.Role = "master" }, `for role "loner", the plan for "master"`},
		"another format":       {func(m *manifest.Manifest, _ *Plan) { m.Format = 99 }, "the manifest"},
		"a name that injects":  {func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Name"] = "a'; rm -rf / #" }, "the plan's late values"},
		"a line that injects":  {func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Name"] = "a\nExecStart=/bin/sh" }, "the plan's late values"},
		"an address that does": {func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Address"] = "10.0.0.1 evil" }, "the plan's late values"},
		"a value nobody knows": {func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Shell"] = "x" }, "the plan's late values"},
		"a placeholder inside": {func(m *manifest.Manifest, p *Plan) { p.Late["Host.Name"] = m.Late.Marker + "1" }, "the plan's late values"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRoot(t)
			i, r := w.install(l, test.change)
			before := tree(t, l)
			must(t, i.run(t.Context(), installSteps, hosts.Done))
			if r.phase != hosts.Failed || !slices.Equal(r.steps, []string{"manifest"}) || r.failed == nil || !strings.Contains(r.failed.Error(), test.words) || fault.Remedy(r.failed) == "" {
				t.Errorf("it is %s after %q: %v (remedy %q), want %q", r.phase, r.steps, r.failed, fault.Remedy(r.failed), test.words)
			}
			after := tree(t, l)
			maps.DeleteFunc(after, func(name, _ string) bool { return strings.HasPrefix(name, "var/lib/bootstrap-agent/blobs") })
			if !maps.Equal(before, after) {
				t.Errorf("the host has changed: %v", slices.Sorted(maps.Keys(after)))
			}
			if c := calls(t, l); len(c) > 0 {
				t.Errorf("systemctl was called: %q", c)
			}
		})
	}
}

func cloned(m *manifest.Manifest, change func(*manifest.Manifest)) *manifest.Manifest {
	c := *m
	change(&c)
	return &c
}

func TestAValueThatIsNotThereStopsBeforeAnyConfigIsWritten(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	i, r := w.install(l, func(_ *manifest.Manifest, p *Plan) { delete(p.Late, "Host.Name") })
	must(t, i.run(t.Context(), installSteps, hosts.Done))
	if r.phase != hosts.Failed || r.steps[len(r.steps)-1] != "bind" || !strings.Contains(r.failed.Error(), "Host.Name") || fault.Remedy(r.failed) == "" {
		t.Errorf("it is %s after %q: %v", r.phase, r.steps, r.failed)
	}
	if left, _ := filepath.Glob(l.at("opt/demo/generations/*")); len(left) > 0 || exists(l.current("demo")) {
		t.Errorf("a generation is there: %q", left)
	}
}

func TestABlobThatIsNotWhatThePlanSaysIsNotUsed(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	i, _ := w.install(l, nil)
	path := filepath.Join(w.dir, fetch.Path(i.plan.Manifest.Digest))
	raw := []byte(read(t, path))
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(path, raw, 0o644))
	good := newWorks(t, "")
	raw[len(raw)/2] ^= 1
	good.publish(raw)
	i.plan.Sources = append(i.plan.Sources, good.source) // the next source has the right one
	if _, err := i.getManifest(t.Context()); err != nil || i.manifest.Role != "loner" {
		t.Errorf("got %v", err)
	}
}

func TestActivationSwitchesByOneLinkAndTakesAwayWhatIsGone(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	first := w.mustInstall(l, nil)
	one, err := os.Readlink(l.current("demo"))
	must(t, err)
	if !exists(l.units("demo-plain.service")) {
		t.Fatal("the first generation lacks a unit")
	}
	unit := read(t, l.units("demo-app.service"))
	write(t, l.units("demo-app.service"), unit+"# edited by hand, or of an earlier bundle\n")
	watching := removals(t, l, func() {
		w.mustInstall(l, func(m *manifest.Manifest, p *Plan) {
			p.Late["Host.Name"] = "node-2"
			m.Units = slices.DeleteFunc(m.Units, func(u manifest.Unit) bool { return u.Name == "demo-plain.service" })
		})
	})
	if slices.Contains(watching, l.current("demo")) {
		t.Error("current was away for a moment")
	}
	two, err := os.Readlink(l.current("demo"))
	must(t, err)
	if one == two || !strings.HasPrefix(two, "generations/") || !exists(l.generation("demo", first.plan.generationID(first.manifest))) {
		t.Errorf("current leads to %s, then to %s; the first must stay to go back to", one, two)
	}
	if exists(l.units("demo-plain.service")) || !exists(l.units("demo-app.service")) || !exists(l.units("demo.target")) {
		t.Error("the units are not those of the second generation")
	}
	if got := read(t, l.units("demo-app.service")); got != unit {
		t.Errorf("the unit is still %q", got)
	}
	if c := calls(t, l); !slices.Contains(c, "stop demo-plain.service") {
		t.Errorf("what is gone was not stopped: %q", c)
	}
	if got := read(t, filepath.Join(l.current("demo"), "etc/app.conf")); !strings.Contains(got, "node-2") {
		t.Errorf("the config is %q", got)
	}
}

func TestWhatRunsWithAnotherGenerationIsStartedAnewAndNothingElse(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	w.mustInstall(l, nil)
	restarts := func() (all []string) {
		for _, c := range calls(t, l) {
			if strings.HasPrefix(c, "restart") {
				all = append(all, c)
			}
		}
		return all
	}
	w.mustInstall(l, nil)
	if got := restarts(); len(got) > 0 {
		t.Errorf("the same generation again: %q", got)
	}
	w.mustInstall(l, func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Name"] = "node-2" })
	if got := restarts(); !slices.Equal(got, []string{"restart --no-block demo-app.service demo-plain.service"}) {
		t.Errorf("another generation: %q", got)
	}
}

func TestOneClusterNeverTouchesTheUnitsOfAnother(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	theirs := map[string]string{
		"demo-two-app.service": "[Service]\nExecStart=/opt/demo-two/current/bin/x\n",
		"demo-two.target":      "[Unit]\nWants=demo-two-app.service\n",
		"demo-local.service":   "[Service]\nExecStart=/usr/local/bin/the-site's-own\n",
		"demonic.service":      "[Service]\nExecStart=/opt/demo/current/bin/x\n",
	}
	for name, text := range theirs {
		write(t, l.units(name), text)
	}
	w.mustInstall(l, nil)
	// The unit that does not name its installation is recognised as ours all the same.
	if got, err := ownUnits(l, "demo"); err != nil || !slices.Equal(got, []string{"demo-app.service", "demo-plain.service", "demo.target"}) {
		t.Errorf("of demo are %q, %v", got, err)
	}
	if got, err := ownUnits(l, "demo-two"); err != nil || !slices.Equal(got, []string{"demo-two-app.service", "demo-two.target"}) {
		t.Errorf("of demo-two are %q, %v", got, err)
	}
	must(t, uninstall(t.Context(), l, "demo", true))
	for name, text := range theirs {
		if got := read(t, l.units(name)); got != text {
			t.Errorf("%s is %q", name, got)
		}
	}
	if left, err := ownUnits(l, "demo"); err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
	if all := strings.Join(calls(t, l), "\n"); strings.Contains(all, "demo-two") || strings.Contains(all, "demo-local") || strings.Contains(all, "demonic") {
		t.Errorf("systemctl was called with\n%s", all)
	}
}

func TestAUnitThatSomebodyElseHasIsNotReplaced(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	const text = "[Service]\nExecStart=/opt/another/bin/x\n"
	write(t, l.units("demo-plain.service"), text)
	i, r := w.install(l, nil)
	must(t, i.run(t.Context(), installSteps, hosts.Done))
	wantFault(t, r.failed, fault.Conflict, "demo-plain.service is on this host already")
	if r.phase != hosts.Failed || read(t, l.units("demo-plain.service")) != text || exists(l.units("demo-app.service")) || exists(l.current("demo")) {
		t.Errorf("it is %s after %q, and something has changed", r.phase, r.steps)
	}
}

func TestAnInterruptedInstallationIsTidiedByTheNext(t *testing.T) {
	w := newWorks(t, "")
	clean := newRoot(t)
	w.mustInstall(clean, nil)
	l := newRoot(t)
	w.mustInstall(l, nil)
	for _, dir := range []string{"opt/demo", "opt/demo/packages", "opt/demo/generations", "opt/demo/current/bin"} {
		write(t, l.at(dir, ".muster-tmp-LEFT"), "half")
	}
	w.mustInstall(l, nil)
	got, want := tree(t, l), tree(t, clean)
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("got %q", slices.Sorted(maps.Keys(got)))
	}
}
