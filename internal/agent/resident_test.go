package agent

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/coordinator"
	"muster/internal/hosts"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

var operator = coordinator.Actor{Name: "uid 0"}

// installed lets a host without a bootstrap agent say that it is.
func (s *site) says(who coordinator.Caller, phases ...hosts.Phase) {
	s.Helper()
	for _, p := range phases {
		_, err := s.core.Sync(context.Background(), who, &syncv1.SyncRequest{
			Observed: &syncv1.Observed{Phase: syncv1.Phase(p.Number()), Attempt: 1, PlanId: "x"},
		})
		must(s, err)
	}
}

// changes lets another host become the only master.
func (s *site) changes(from, to, address string) {
	s.Helper()
	who := s.joins(to, address)
	_, err := s.core.Replace(context.Background(), operator, from, to)
	must(s, err)
	s.says(who, hosts.Preflight, hosts.Ready, hosts.Done)
}

// worker is one that is done and stays, with m1 as its master.
func (s *site) worker() *host {
	s.Helper()
	s.says(s.joins("m1", "198.51.100.7"), hosts.Preflight, hosts.Ready, hosts.Done)
	return s.host("worker")
}

func (h *host) awaitMaster(address string, attempt uint32) {
	h.Helper()
	h.awaitPhase(syncv1.Phase_PHASE_DONE)
	await(h, "its config names "+address+"; the agent says:\n"+h.log.String(), func() bool {
		d := h.described()
		return d.Attempt == attempt && d.Phase == syncv1.Phase_PHASE_DONE && !exists(h.layout.blobs()) &&
			read(h, h.layout.at("opt/demo/current/etc/worker.conf")) == "masters= "+address+"\n"
	})
}

func TestABootstrapAgentThatStaysFollowsTheRoster(t *testing.T) {
	s := newSite(t, "resident: true\n")
	h := s.worker()
	stop, ended := h.begin()
	h.awaitMaster("198.51.100.7", 1)
	before := read(t, h.layout.at("opt/demo/packages")+"/"+onlyEntry(t, h.layout.at("opt/demo/packages"))+"/bin/tool")
	select {
	case err := <-ended:
		t.Fatalf("it has not stayed: %v", err)
	default:
	}

	write(t, h.layout.at("systemctl.calls"), "")
	s.changes("m1", "m2", "198.51.100.8")
	h.awaitMaster("198.51.100.8", 2)
	want := append(slices.Clone(wholeWay), "2 manifest", "2 fetch", "2 unpack", "2 bind", "2 activate", "2 start", "2 postflight")
	if got := h.steps(); !slices.Equal(got, want) {
		t.Errorf("the steps were %q, want %q", got, want)
	}
	got := calls(t, h.layout)
	if !slices.Contains(got, "restart --no-block demo-app.service") || slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "stop") }) {
		t.Errorf("systemctl was called with %q", got)
	}
	if got := read(t, h.layout.at("opt/demo/packages")+"/"+onlyEntry(t, h.layout.at("opt/demo/packages"))+"/bin/tool"); got != before {
		t.Errorf("the package is %q", got)
	}

	// A change that comes while no agent runs is followed by the next one, and only two generations are kept.
	stop()
	s.changes("m2", "m3", "198.51.100.9")
	h.begin()
	h.awaitMaster("198.51.100.9", 3)
	entries, err := os.ReadDir(h.layout.at("opt/demo/generations"))
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("the host keeps %v", entries)
	}
}

func onlyEntry(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 {
		t.Fatalf("%s has %v", dir, entries)
	}
	return entries[0].Name()
}

func TestAHostThatIsKilledWhileItFollowsTheRosterGoesOn(t *testing.T) {
	// Every third write, another third each time.
	for killAfter := 1 + rand.IntN(3); ; killAfter += 3 {
		s := newSite(t, "resident: true\n")
		h := s.worker()
		stop, _ := h.begin()
		h.awaitMaster("198.51.100.7", 1)
		stop()
		s.changes("m1", "m2", "198.51.100.8")
		e := h.engine()
		ctx, cancel := context.WithCancel(context.Background())
		written := 0
		e.kept = func() {
			if written++; written == killAfter {
				cancel()
			}
		}
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		arrived := false
		await(t, "it is ended or has arrived", func() bool {
			d := h.described()
			arrived = d.Attempt == 2 && d.Phase == syncv1.Phase_PHASE_DONE
			return arrived || ctx.Err() != nil
		})
		cancel()
		<-done
		h.begin()
		h.awaitMaster("198.51.100.8", 2)
		if arrived {
			if killAfter < 5 {
				t.Errorf("it arrived after %d writes of its journal", written)
			}
			return
		}
	}
}

func TestAReplacedHostUninstallsAndLeaves(t *testing.T) {
	s := newSite(t, "resident: true\n")
	h := s.host("master")
	before := tree(t, h.layout)
	for name := range before {
		if strings.HasPrefix(name, "var/lib/bootstrap-agent") {
			delete(before, name)
		}
	}
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_DONE)
	write(t, h.layout.at("var/lib/demo/data"), "worth keeping")
	was := h.described()
	stop() // it is cut off, and comes back as another has its place
	s.joins("m2", "198.51.100.8")
	if _, err := s.core.Replace(context.Background(), operator, was.Id, "m2"); err != nil {
		t.Fatal(err)
	}
	h.finish()
	for path, text := range map[string]string{"var/lib/demo/data": "worth keeping"} {
		if got := read(t, h.layout.at(path)); got != text {
			t.Errorf("%s is %q", path, got)
		}
	}
	must(t, os.RemoveAll(h.layout.at("var/lib/demo")))
	wantTree(t, h.layout, before)
	if got := calls(t, h.layout); !slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "stop") && strings.Contains(c, "demo-app.service") }) {
		t.Errorf("systemctl was called with %q", got)
	}
	if d, err := s.core.Describe(was.Id); err == nil {
		t.Errorf("the coordinator still has %v", d)
	}
}

func TestWhatHasNotChangedIsNotRestarted(t *testing.T) {
	w := newWorks(t, "")
	i := &installation{layout: newRoot(t), cluster: "demo", plan: Plan{Late: map[string]string{"Host.Name": "b"}}, manifest: w.manifests["loner"]}
	units := []string{"demo-app.service", "demo-plain.service"}
	now := i.plan.generationID(i.manifest)
	dir := func(id string) string { return i.layout.generation("demo", id) }
	for _, c := range []struct {
		name   string
		change func(old string)
		want   []string
	}{
		{"nothing", func(string) {}, nil},
		{"a unit", func(old string) { write(t, filepath.Join(old, "units/demo-plain.service"), "[Service]\nUser=x\n") }, units[1:]},
		{"a file", func(old string) { write(t, filepath.Join(old, "etc/app.conf"), "other") }, units},
		{"a file that is gone", func(old string) { must(t, os.Remove(filepath.Join(old, "etc/app.conf"))) }, units},
		{"a file's mode", func(old string) { must(t, os.Chmod(filepath.Join(old, "etc/app.conf"), 0o600)) }, units},
		{"where a link leads", func(old string) {
			must(t, os.Remove(filepath.Join(old, "bin/tool")))
			must(t, os.Symlink("elsewhere", filepath.Join(old, "bin/tool")))
		}, units},
		{"all, for the earlier generation is gone", func(old string) { must(t, os.RemoveAll(old)) }, units},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.RemoveAll(i.layout.at("opt/demo/generations")))
			for _, id := range []string{"before", now} {
				for path, text := range map[string]string{"units/demo-app.service": "a", "units/demo-plain.service": "p", "etc/app.conf": "c"} {
					mustMkdir(t, filepath.Dir(filepath.Join(dir(id), path)))
					write(t, filepath.Join(dir(id), path), text)
				}
				mustMkdir(t, filepath.Join(dir(id), "bin"))
				must(t, os.Symlink("../tool", filepath.Join(dir(id), "bin/tool")))
			}
			c.change(dir("before"))
			got, err := i.changedUnits(units, "before")
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("changed are %q (%v), want %q", got, err, c.want)
			}
		})
	}
	if got, err := i.changedUnits(units, ""); err != nil || !slices.Equal(got, units) {
		t.Errorf("where nothing ran, changed are %q, %v", got, err)
	}
}

func TestAHostWhoseChangedConfigDoesNotStartGoesBack(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	w.mustInstall(l, nil)
	before, err := os.Readlink(l.current("demo"))
	must(t, err)
	conf := read(t, l.at("opt/demo/current/etc/app.conf"))
	write(t, l.at("systemctl.calls"), "")
	mend := tell(t, l, "broken", "demo-app.service")
	another := func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Name"] = "node-2" }
	i, r := w.install(l, another)
	must(t, i.run(t.Context(), installSteps, hosts.Done))
	if r.phase != hosts.Failed || r.failed == nil || !strings.Contains(r.failed.Error(), "demo-app.service did not start") || r.steps[len(r.steps)-1] != "go back" {
		t.Errorf("it stands at %s after %q: %v", r.phase, r.steps, r.failed)
	}
	if now, _ := os.Readlink(l.current("demo")); now != before || read(t, l.at("opt/demo/current/etc/app.conf")) != conf {
		t.Errorf("current leads to %s with %q, want %s", now, read(t, l.at("opt/demo/current/etc/app.conf")), before)
	}
	got := calls(t, l)
	if slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "stop") }) || got[len(got)-1] != "restart --no-block demo-app.service demo-plain.service" {
		t.Errorf("systemctl was called with %q", got)
	}
	// Mended, the next try takes it up.
	mend()
	i = w.mustInstall(l, another)
	if now, _ := os.Readlink(l.current("demo")); now == before {
		t.Errorf("after the retry current leads to %s", now)
	}
	if got, _, _ := strings.Cut(read(t, l.started()), "\n"); got != i.plan.generationID(i.manifest) {
		t.Errorf("what was started is %s", got)
	}
}
