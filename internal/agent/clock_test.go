package agent

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/seed"
	syncv1 "muster/proto/muster/sync/v1"
)

// wrongClocks are by how much a host's clock may be wrong.
func wrongClocks() map[string]time.Duration {
	now := time.Now()
	return map[string]time.Duration{
		"a year behind": now.AddDate(-1, 0, 0).Sub(now), "at its beginning": time.Unix(0, 0).Sub(now), "a year ahead": now.AddDate(1, 0, 0).Sub(now),
	}
}

// engineAt is an agent on a host whose clock is wrong by so much.
func (h *host) engineAt(wrong time.Duration) *Engine {
	h.Helper()
	e := h.engine()
	e.clock = func() time.Time { return time.Now().Add(wrong) }
	return e
}

func TestAHostWhoseClockIsWrongJoinsAndIsToldOfIt(t *testing.T) {
	for name, wrong := range wrongClocks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newSite(t).host("loner")
			stop, _ := h.runs(h.engineAt(wrong))
			h.awaitPhase(syncv1.Phase_PHASE_FAILED)
			d := h.described()
			if d.FailedStep != "preflight" || !strings.Contains(d.Failure, "the clock is ") || d.Remedy != "Set the clock." {
				t.Errorf("the coordinator says %v", d)
			}
			certificate := stored(t, h.layout).leaf
			time.Sleep(2 * pause)
			stop()
			if is := stored(t, h.layout); !is.leaf.Equal(certificate) || !is.Accepted || strings.Count(h.log.String(), "msg=enrolled") != 1 {
				t.Errorf("it did not keep its certificate:\n%s", h.log)
			}
			// Its next start knows no better.
			stop, _ = h.runs(h.engineAt(wrong))
			await(t, "it is back", func() bool { return strings.Contains(h.described().Waiting, "waiting for a retry") })
			stop()
			if n := strings.Count(h.log.String(), "msg=enrolled"); n > 2 {
				t.Errorf("it enrolled %d times:\n%s", n, h.log)
			}
			_, ended := h.begin() // the clock is set
			if _, err := h.core.Retry(t.Context(), coordinator.Actor{Name: "uid 0"}, d.Id); err != nil {
				t.Fatal(err)
			}
			h.wantEnd(ended)
			if is := h.described(); is.Id != d.Id || is.Phase != syncv1.Phase_PHASE_DONE {
				t.Errorf("the coordinator says %v", is)
			}
		})
	}
}

func TestAHostWhoseClockIsBehindFindsOutThatItsCertificateHasExpired(t *testing.T) {
	s := newSite(t)
	s.restart(-30 * time.Hour)
	h := s.host("worker")
	stop, _ := h.begin()
	await(t, "it has joined", func() bool { return stored(t, h.layout).leaf != nil })
	stop()
	was := stored(t, h.layout)
	s.restart(0)
	h.runs(h.engineAt(-365 * 24 * time.Hour))
	await(t, "it has another certificate and is heard", func() bool {
		is := stored(t, h.layout)
		return !is.leaf.Equal(was.leaf) && is.Accepted && is.HostID == was.HostID
	})
}

func TestTheCoordinatorsCertificateIsJudgedByTheBestClockThereIs(t *testing.T) {
	now := time.Now()
	token, certificate := now.Add(time.Hour), now.Add(20*time.Hour)
	for name, test := range map[string]struct {
		clock    time.Time
		enrolled bool
		heard    time.Time
		want     time.Time
	}{
		"a clock that is right":                {clock: now, want: now},
		"one that is behind":                   {clock: now.AddDate(-1, 0, 0), want: now.AddDate(-1, 0, 0)},
		"one that is ahead":                    {clock: now.AddDate(1, 0, 0), want: token},
		"one that is ahead, with certificate":  {clock: now.AddDate(1, 0, 0), enrolled: true, want: certificate},
		"one that is ahead, and it is known":   {clock: now.AddDate(1, 0, 0), heard: now, want: now},
		"one that is right beyond all of them": {clock: now.AddDate(1, 0, 0), enrolled: true, heard: now.AddDate(1, 0, 0), want: now.AddDate(1, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			e := &Engine{seed: &seed.Seed{Expires: token}, id: &identity{}, clock: func() time.Time { return test.clock }}
			if test.enrolled {
				e.id.leaf = &x509.Certificate{NotAfter: certificate}
			}
			if !test.heard.IsZero() {
				e.heard, e.theirs = test.clock, test.heard
			}
			if got := e.trustClock()(); !got.Equal(test.want) {
				t.Errorf("it is %v, want %v", got, test.want)
			}
		})
	}
	e := &Engine{seed: &seed.Seed{}, id: &identity{}, clock: time.Now}
	if got := e.trustClock()(); time.Since(got).Abs() > time.Minute {
		t.Errorf("with a seed that does not say when it ends, it is %v", got)
	}
}
