package agent

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// A replaced host whose service does not stop: who looks at status has to see what is wrong and what to do.
func TestAnUninstallationThatFailsIsTold(t *testing.T) {
	s := newSite(t, "resident: true\n")
	h := s.host("master")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_DONE)
	was := h.described()
	stop()
	s.joins("m2", "198.51.100.8")
	if _, err := s.core.Replace(context.Background(), operator, was.Id, "m2"); err != nil {
		t.Fatal(err)
	}
	tell(t, h.layout, "fails", "stop")
	h.begin()
	calledTwice := func() bool {
		n := 0
		for _, c := range calls(t, h.layout) {
			if len(c) > 4 && c[:4] == "stop" {
				n++
			}
		}
		return n >= 2
	}
	await(t, "it has tried twice", calledTwice)
	d, err := s.core.Describe(was.Id)
	if err != nil {
		t.Fatal(err)
	}
	if d.Failure == "" && d.Remedy == "" {
		t.Errorf("status says phase %v, waiting %q, failure %q, remedy %q; the host's own log says\n%s", d.Phase, d.Waiting, d.Failure, d.Remedy, h.log.String())
	}
}

// The power goes in the middle of the uninstallation: a host that was replaced in the middle of its installation must not
// install again by itself, before anybody was asked.
func TestAnUninstalledHostDoesNotInstallAgainAfterACrash(t *testing.T) {
	s := newSite(t, "resident: true\n")
	h := s.host("master")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_DONE)
	was := h.described()
	stop()
	e := h.engine()
	e.journal.Phase = hosts.Starting // where it stood when it was told to uninstall
	must(t, e.journal.save(h.layout))
	mend := tell(t, h.layout, "slow", "demo-app.service") // so that it stands there
	s.joins("m2", "198.51.100.8")
	if _, err := s.core.Replace(context.Background(), operator, was.Id, "m2"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e = h.engine()
	e.kept = func() {
		if e.journal.Plan == nil {
			cancel() // it has just begun
		}
	}
	if err := e.Run(ctx); ctx.Err() == nil {
		t.Fatalf("it was not told to uninstall: %v", err)
	}
	mend()
	must(t, uninstall(context.Background(), h.layout, "demo", false))
	s.down() // the coordinator is away as the power comes back
	h.begin()
	time.Sleep(time.Second)
	if exists(h.layout.current("demo")) {
		t.Errorf("what was uninstalled is installed and started again; systemctl was called with %q", calls(t, h.layout))
	}
}

// The agent is ended (a reboot, a crash) while units of the changed generation do not come up. Going on, it must still go back.
func TestAHostGoesBackAlsoWhenTheAgentWasEndedMeanwhile(t *testing.T) {
	w := newWorks(t, "")
	l := newRoot(t)
	w.mustInstall(l, nil)
	before, err := os.Readlink(l.current("demo"))
	must(t, err)
	another := func(_ *manifest.Manifest, p *Plan) { p.Late["Host.Name"] = "node-2" }
	up := tell(t, l, "slow", "demo-app.service")
	i, r := w.install(l, another)
	ctx, cancel := context.WithCancel(t.Context())
	id := i.plan.generationID(w.manifests["loner"])
	go func() {
		await(t, "it waits for the unit", func() bool { return strings.HasPrefix(read(t, l.started()), id) })
		cancel()
	}()
	if err := i.run(ctx, installSteps, hosts.Done); err == nil {
		t.Fatalf("it did not wait: %q", r.steps)
	}
	up()
	tell(t, l, "broken", "demo-app.service")
	write(t, l.at("systemctl.calls"), "")
	i, r = w.install(l, another)
	must(t, i.run(t.Context(), installSteps, hosts.Done))
	got := calls(t, l)
	if now, _ := os.Readlink(l.current("demo")); now != before || slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, "stop") }) {
		t.Errorf("phase %s: current leads to %s, want %s; systemctl was called with %q", r.phase, now, before, got)
	}
}
