package agent

import (
	"os"
	"slices"
	"strings"
	"testing"

	"muster/internal/coordinator"
	syncv1 "muster/proto/muster/sync/v1"
)

var wholeWay = []string{"1 stop", "1 manifest", "1 preflight", "1 manifest", "1 fetch", "1 unpack", "1 bind", "1 activate", "1 start", "1 postflight"}

func TestAHostGoesAllTheWayAndLeavesNothingButTheInstallation(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	h.finish()
	h.installed("etc/app.conf")
	d := h.described()
	if d.Phase != syncv1.Phase_PHASE_DONE || d.Role != "loner" {
		t.Errorf("the coordinator says %v", d)
	}
	if got := h.steps(); !slices.Equal(got, wholeWay) {
		t.Errorf("the steps were %q, want %q", got, wholeWay)
	}
	name, _ := os.Hostname()
	address, _ := ownIP(t)
	want := "name='" + name + "'\naddress=" + address.String() + "\n"
	if got := read(t, h.layout.at("opt/demo/current/etc/app.conf")); got != want && got != strings.ReplaceAll(want, "'", "") {
		t.Errorf("the config is %q, want %q", got, want)
	}
	if got := read(t, h.layout.at("opt/demo/current/bin/tool")); !strings.Contains(got, "echo tool") {
		t.Errorf("the package's command is %q", got)
	}
	got := calls(t, h.layout)
	for _, want := range []string{"enable demo.target", "start --no-block demo.target", "daemon-reload"} {
		if !slices.Contains(got, want) {
			t.Errorf("systemctl was not called with %q but with %q", want, got)
		}
	}
	link, err := os.Readlink(h.layout.current("demo"))
	if err != nil || !strings.HasPrefix(link, "generations/") {
		t.Errorf("current leads to %q (%v)", link, err)
	}
}

func TestAWorkerWaitsForTheRosterAndIsToldOfIt(t *testing.T) {
	s := newSite(t)
	h := s.host("worker")
	_, ended := h.begin()
	await(t, "the host waits for a master", func() bool {
		d := h.described()
		return d != nil && d.Phase == syncv1.Phase_PHASE_READY && strings.Contains(d.Waiting, "1 more of 1 hosts of role master")
	})
	if exists(h.layout.Home("demo")) {
		t.Error("something is installed before the plan is whole")
	}
	s.master()
	h.wantEnd(ended)
	if got := read(t, h.layout.at("opt/demo/current/etc/worker.conf")); got != "masters= 198.51.100.7\n" {
		t.Errorf("the config is %q", got)
	}
}

func TestAHostThatHasItsPlanNeedsNoCoordinator(t *testing.T) {
	for name, restarted := range map[string]bool{"the agent stays": false, "the agent is started again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			h := s.host("loner")
			start := tell(t, h.layout, "slow", "demo-app.service")
			stop, ended := h.begin()
			h.awaitPhase(syncv1.Phase_PHASE_STARTING)
			s.down()
			if restarted {
				stop()
				_, ended = h.begin()
			}
			start()
			await(t, "it is done by itself", func() bool { return strings.Contains(read(t, h.layout.journal()), `"phase":"done"`) })
			if n := len(undelivered(t, h.layout)); n == 0 {
				t.Error("nothing is kept for the coordinator")
			}
			s.up(nil)
			h.wantEnd(ended)
			h.installed("etc/app.conf")
			h.awaitPhase(syncv1.Phase_PHASE_DONE)
			if steps := strings.Join(h.steps(), ","); !strings.HasSuffix(steps, strings.Join(wholeWay[3:], ",")) {
				t.Errorf("the steps were %q", steps)
			}
		})
	}
}

func TestACoordinatorThatIsStartedAgainIsFollowedAtOnce(t *testing.T) {
	s := newSite(t)
	h := s.host("worker")
	_, ended := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_READY)
	id := h.described().Id
	s.restart(0)
	s.master()
	h.wantEnd(ended)
	if d := h.described(); d.Id != id || d.Phase != syncv1.Phase_PHASE_DONE {
		t.Errorf("the coordinator says %v", d)
	}
	h.reports()
}

func TestAFailedHostStopsItsOwnAndTriesAgainWhenItIsTold(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	mend := tell(t, h.layout, "broken", "demo-app.service")
	_, ended := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_FAILED)
	d := h.described()
	if d.FailedStep != "start" || d.Attempt != 1 || !strings.Contains(d.Failure, "demo-app.service") || !strings.Contains(d.Remedy, "journalctl -u demo-app.service") {
		t.Errorf("the coordinator says %v", d)
	}
	for _, r := range h.reports() {
		if step := r.GetStep(); step != nil && !step.Ok && !strings.Contains(step.Detail, "the last words of --unit=demo-app.service") {
			t.Errorf("the failure tells %q of the unit's log", step.Detail)
		}
	}
	await(t, "what runs of it is stopped", func() bool {
		return slices.Contains(calls(t, h.layout), "stop demo-app.service demo-plain.service demo.target")
	})
	before := len(calls(t, h.layout))
	mend()
	if _, err := s.core.Retry(t.Context(), coordinator.Actor{Name: "uid 0"}, d.Id); err != nil {
		t.Fatal(err)
	}
	h.wantEnd(ended)
	if d := h.described(); d.Attempt != 2 || d.Phase != syncv1.Phase_PHASE_DONE || d.FailedStep != "" {
		t.Errorf("the coordinator says %v", d)
	}
	if first := calls(t, h.layout)[before]; first != "stop demo-app.service demo-plain.service demo.target" {
		t.Errorf("the second attempt began with systemctl %s", first)
	}
	second := strings.ReplaceAll(strings.Join(wholeWay, ","), "1 ", "2 ")
	if steps := strings.Join(h.steps(), ","); !strings.HasSuffix(steps, second) || strings.Count(steps, "failed") != 1 {
		t.Errorf("the steps were %q", steps)
	}
}

func TestAFailedHostIsStillFailedAfterItsAgentIsStartedAgain(t *testing.T) {
	h := newSite(t).host("loner")
	tell(t, h.layout, "broken", "demo-app.service")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_FAILED)
	stop()
	before := h.steps()
	h.begin()
	await(t, "it is back", func() bool { return strings.Contains(h.described().Waiting, "waiting for a retry") })
	if after := h.steps(); !slices.Equal(before, after) {
		t.Errorf("it tried again by itself: %q, then %q", before, after)
	}
}
