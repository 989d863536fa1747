package agent

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"muster/internal/coordinator"
	"muster/internal/fault"
	syncv1 "muster/proto/muster/sync/v1"
)

// someSeed is a seed for a cluster with no coordinator behind it.
func someSeed(t testing.TB, s *site, cluster string) []byte {
	t.Helper()
	made := parseSeed(t, s.seed("loner"))
	made.Cluster = cluster
	text, err := made.Encode()
	must(t, err)
	return text
}

// wantFault wants a fault of the class, with these words and a remedy.
func wantFault(t testing.TB, err error, class fault.Class, words string) {
	t.Helper()
	if !errors.Is(err, class) || !strings.Contains(err.Error(), words) || fault.Remedy(err) == "" {
		t.Errorf("got %v (remedy %q), want a fault %q with %q and a remedy", err, fault.Remedy(err), class, words)
	}
}

func TestLaunchRefusesAndChangesNothing(t *testing.T) {
	s := newSite(t)
	mine := someSeed(t, s, "demo")
	for name, test := range map[string]struct {
		prepare func(l Layout)
		seed    []byte
		nobody  bool
		class   fault.Class
		words   string
	}{
		"by somebody who is not root":        {nil, mine, true, fault.Denied, "needs root"},
		"with a seed that is none":           {nil, []byte("{}"), false, fault.Invalid, "the seed cannot be used"},
		"with a seed that is cut off":        {nil, mine[:len(mine)/2], false, fault.Invalid, "the seed cannot be used"},
		"with an empty seed":                 {nil, nil, false, fault.Invalid, "the seed cannot be used"},
		"of a cluster that is installed":     {func(l Layout) { mustMkdir(t, l.current("demo")) }, mine, false, fault.Conflict, "cluster demo is already installed"},
		"while another cluster is under way": {func(l Layout) { write(t, l.seed(), string(someSeed(t, s, "other"))) }, mine, false, fault.Conflict, "joining cluster other"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newRoot(t)
			if test.prepare != nil {
				test.prepare(l)
			}
			before := tree(t, l)
			var err error
			if test.nobody {
				asNobody(t, func() { _, err = Launch(t.Context(), l, test.seed) })
			} else {
				_, err = Launch(t.Context(), l, test.seed)
			}
			wantFault(t, err, test.class, test.words)
			wantTree(t, l, before)
			if c := calls(t, l); len(c) > 0 {
				t.Errorf("systemctl was called: %q", c)
			}
		})
	}
}

func TestLaunchPutsTheAgentIntoPlaceAndStartsIt(t *testing.T) {
	s := newSite(t)
	l := newRoot(t)
	text := s.seed("loner")
	said, err := Launch(t.Context(), l, text)
	if err != nil || said != "the bootstrap agent is started" {
		t.Fatalf("%q, %v", said, err)
	}
	for path, want := range map[string]os.FileMode{l.State(): 0o700, l.seed(): 0o600, l.binary(): 0o700, l.unit(): 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	self, err := os.Executable()
	must(t, err)
	if read(t, l.binary()) != read(t, self) || read(t, l.seed()) != string(text) {
		t.Error("the program or the seed is another")
	}
	if to, err := os.Readlink(l.wanted()); err != nil || to != "/etc/systemd/system/bootstrap-agent.service" {
		t.Errorf("the unit is enabled by a link to %q, %v", to, err)
	}
	if got, want := calls(t, l), []string{"restart --no-block bootstrap-agent.service"}; !slices.Equal(got, want) {
		t.Errorf("systemctl was called with %q, want %q", got, want)
	}
}

// systemd keeps what it has read of a unit, so one that was another must be read anew; a new one is read at its start.
func TestLaunchHasSystemdReadAUnitAnewThatWasAnother(t *testing.T) {
	s := newSite(t)
	l := newRoot(t)
	must(t, os.WriteFile(l.unit(), []byte("[Service]\nExecStart=/bin/old\n"), 0o644))
	for _, want := range [][]string{
		{"daemon-reload", "restart --no-block bootstrap-agent.service"},
		{"restart --no-block bootstrap-agent.service"},
	} {
		before := len(calls(t, l))
		_, err := Launch(t.Context(), l, s.seed("loner"))
		must(t, err)
		if got := calls(t, l)[before:]; !slices.Equal(got, want) {
			t.Errorf("systemctl was called with %q, want %q", got, want)
		}
	}
}

func TestLaunchAgainIsTheSameHostWithTheNewSeed(t *testing.T) {
	s := newSite(t)
	h := s.host("worker")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_READY)
	stop()
	was, id := stored(t, h.layout), h.described().Id
	if was.leaf == nil {
		t.Fatal("it has not joined")
	}
	next := s.seed("worker")
	if _, err := Launch(t.Context(), h.layout, next); err != nil {
		t.Fatal(err)
	}
	is := stored(t, h.layout)
	if !is.key.Equal(was.key) || is.leaf != nil || read(t, h.layout.seed()) != string(next) {
		t.Errorf("the key is kept: %v; the certificate: %v", is.key.Equal(was.key), is.leaf)
	}
	s.master()
	h.finish()
	if d := h.described(); d.Id != id || d.Phase != syncv1.Phase_PHASE_DONE {
		t.Errorf("the coordinator says %v, the host was %s", d, id)
	}
}

// A push to a host that has failed is no retry: it stays the same host, and failed, until an operator says so.
func TestLaunchOnAFailedHostKeepsItFailedUntilItIsRetried(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	mend := tell(t, h.layout, "broken", "demo-app.service")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_FAILED)
	stop()
	id := h.described().Id
	mend()
	_, err := Launch(t.Context(), h.layout, s.seed("loner"))
	must(t, err)
	_, ended := h.begin()
	await(t, "it has enrolled with the new seed", func() bool { return stored(t, h.layout).leaf != nil })
	if d := h.described(); d.Id != id || d.Phase != syncv1.Phase_PHASE_FAILED {
		t.Errorf("the coordinator says %v, the host was %s", d, id)
	}
	_, err = s.core.Retry(t.Context(), coordinator.Actor{Name: "uid 0"}, id)
	must(t, err)
	h.wantEnd(ended)
	if d := h.described(); d.Id != id || d.Phase != syncv1.Phase_PHASE_DONE {
		t.Errorf("after the retry the coordinator says %v, the host was %s", d, id)
	}
}

func TestAHostThatAnOperatorRemovedJoinsAnewWhenItIsLaunchedAgain(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	start := tell(t, h.layout, "slow", "demo-app.service")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_STARTING)
	stop()
	id := h.described().Id
	must(t, s.core.Remove(t.Context(), coordinator.Actor{Name: "uid 0"}, id))
	if _, err := Launch(t.Context(), h.layout, s.seed("loner")); err != nil {
		t.Fatal(err)
	}
	_, ended := h.begin()
	await(t, "it joined anew", func() bool { d := h.described(); return d != nil && d.Id != id })
	start()
	h.wantEnd(ended)
	events, err := s.core.Events(t.Context(), coordinator.EventFilter{}, 1000)
	must(t, err)
	for _, e := range events {
		if e.Kind == "impossible-phase" {
			t.Errorf("it told of its earlier life: %s", e.Message)
		}
	}
	if steps := h.steps(); !slices.Equal(steps, wholeWay) {
		t.Errorf("the steps were %q", steps)
	}
}

func TestLaunchMendsADamagedSeedAndIdentity(t *testing.T) {
	s := newSite(t)
	l := newRoot(t)
	write(t, l.seed(), "half a se")
	write(t, l.key(), "")
	if _, err := Launch(t.Context(), l, s.seed("loner")); err != nil {
		t.Fatal(err)
	}
	parseSeed(t, []byte(read(t, l.seed())))
	stored(t, l)
}

// Whatever systemctl enable would make: the real one shows it, in a root of its own.
func TestLaunchEnablesTheUnitAsSystemctlDoes(t *testing.T) {
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		t.Skip("SKIPPED: ENABLING IS NOT COMPARED WITH systemctl: it is missing")
	}
	by, launched := newRoot(t), newRoot(t)
	must(t, os.WriteFile(by.unit(), unitText, 0o644))
	if out, err := exec.Command(systemctl, "--root="+by.at(), "enable", UnitName).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for range 2 {
		must(t, enableAgent(launched))
		want, err := os.Readlink(by.wanted())
		must(t, err)
		if got, err := os.Readlink(launched.wanted()); err != nil || got != want {
			t.Errorf("the link leads to %q, systemctl's to %q: %v", got, want, err)
		}
	}
	found, err := filepath.Glob(by.units("*.wants", "*"))
	must(t, err)
	if !slices.Equal(found, []string{by.wanted()}) {
		t.Errorf("systemctl made %q", found)
	}
}

func TestLaunchSaysWhatSystemdSays(t *testing.T) {
	s := newSite(t)
	for _, verb := range []string{"daemon-reload", "restart"} {
		l := newRoot(t)
		must(t, os.WriteFile(l.unit(), []byte("[Service]\nExecStart=/bin/old\n"), 0o644)) // to be read anew
		mend := tell(t, l, "fails", verb)
		_, err := Launch(t.Context(), l, s.seed("loner"))
		wantFault(t, err, fault.Unavailable, "systemctl "+verb)
		if !strings.Contains(err.Error(), "told to fail") {
			t.Errorf("%s: what systemctl said is not in %v", verb, err)
		}
		mend()
		if _, err := Launch(t.Context(), l, s.seed("loner")); err != nil {
			t.Errorf("%s: the second launch: %v", verb, err)
		}
	}
}

func TestWithoutSystemdADetachedAgentTellsWhatTheHostLacks(t *testing.T) {
	s := newSite(t)
	h := &host{site: s, layout: newRoot(t), log: &notes{}}
	must(t, os.RemoveAll(h.layout.at("run/systemd")))
	said, err := Launch(t.Context(), h.layout, s.seed("loner"))
	if err != nil || !strings.Contains(said, "without systemd") {
		t.Fatalf("%q, %v", said, err)
	}
	t.Cleanup(func() { endDetached(t, h.layout) })
	h.awaitPhase(syncv1.Phase_PHASE_FAILED)
	if d := h.described(); d.FailedStep != "preflight" || !strings.Contains(d.Failure, "systemd does not run this host") || d.Remedy == "" {
		t.Errorf("the coordinator says %v", d)
	}
	if c := calls(t, h.layout); len(c) > 0 {
		t.Errorf("systemctl was called: %q", c)
	}
	pid := detached(t, h.layout)
	session, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	must(t, err)
	// pid (comm) state ppid pgrp session
	if fields := strings.Fields(string(session)); fields[5] != pid {
		t.Errorf("the agent has no session of its own: %v", fields[:6])
	}
	if exists(h.layout.unit()) {
		t.Error("there is a unit without systemd")
	}
	if _, err := Lock(h.layout); err == nil || !strings.Contains(err.Error(), "another bootstrap agent runs") {
		t.Errorf("a second agent could run: %v", err)
	}
}

// detached is the process of the agent in the private root.
func detached(t testing.TB, l Layout) string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/exe")
	must(t, err)
	for _, exe := range found {
		if to, err := os.Readlink(exe); err == nil && to == l.binary() {
			return filepath.Base(filepath.Dir(exe))
		}
	}
	return ""
}

func endDetached(t testing.TB, l Layout) {
	t.Helper()
	pid := 0
	for _, c := range detached(t, l) {
		pid = pid*10 + int(c-'0')
	}
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		await(t, "it is gone", func() bool { return detached(t, l) == "" })
	}
}

func TestOneAgentAtATimeAndTheLockEndsWithIt(t *testing.T) {
	l := newRoot(t)
	mustMkdir(t, l.State())
	first, err := Lock(l)
	must(t, err)
	if _, err := Lock(l); err == nil {
		t.Error("two agents have the lock")
	}
	must(t, first.Close())
	again, err := Lock(l)
	must(t, err)
	must(t, again.Close())
}
