package hosts_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/hosts"
)

// site is one host and what the coordinator holds of it, with a network between them that loses, repeats and delays.
// The host keeps the rules of the bootstrap agent: it writes its journal before it says anything, it goes on with a
// released plan while nobody answers, and it decides nothing.
type site struct {
	record hosts.Host
	// missing are the late values that others have not provided.
	missing []string

	journal struct {
		phase   hosts.Phase
		attempt uint32
		plan    bool
	}
	// work is what a crash takes: the stage under way and the phases that it has yet to pass.
	work  string
	ahead []hosts.Phase

	left      bool
	installed bool
	// sent are the reports that the network may still deliver a second time, in any order.
	sent []observed
}

type observed struct {
	phase   hosts.Phase
	attempt uint32
}

func newSite() *site {
	s := &site{record: hosts.Host{Phase: hosts.Assigned, Attempt: 1}}
	s.journal.phase, s.journal.attempt = hosts.Enrolled, 1
	return s
}

// hear is what the coordinator does with an observation.
func (s *site) hear(o observed) {
	if o.attempt != s.record.Attempt {
		return
	}
	if next, err := hosts.Observe(s.record.Phase, o.phase); err == nil {
		s.record.Phase = next
	}
}

// sync is one call. A call whose request arrives may still lose its answer.
func (s *site) sync(requestArrives, answerArrives bool) {
	if s.left {
		return
	}
	o := observed{s.journal.phase, s.journal.attempt}
	s.sent = append(s.sent, o)
	if !requestArrives {
		return
	}
	s.hear(o)
	d := hosts.Next(s.record, hosts.Surroundings{Missing: s.missing})
	if !answerArrives {
		return
	}
	switch d.Action {
	case hosts.ActPreflight:
		s.begin("preflight", d.Attempt)
	case hosts.ActInstall:
		s.begin("install", d.Attempt)
	case hosts.ActLeave:
		s.left = true
	}
}

func (s *site) begin(stage string, attempt uint32) {
	if key := fmt.Sprint(stage, attempt); s.work == key {
		return
	} else {
		s.work = key
	}
	s.journal.attempt, s.journal.plan = attempt, stage == "install"
	if s.journal.phase == hosts.Failed {
		s.journal.phase = hosts.Assigned
	}
	s.ahead = []hosts.Phase{hosts.Preflight, hosts.Ready}
	if stage == "install" {
		s.ahead = []hosts.Phase{hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight, hosts.Done}
	}
}

// proceed passes one phase of the work under way.
func (s *site) proceed() {
	if len(s.ahead) == 0 || s.left {
		return
	}
	s.journal.phase, s.ahead = s.ahead[0], s.ahead[1:]
	s.installed = s.installed || s.journal.phase == hosts.Done
}

func (s *site) fail() {
	if len(s.ahead) > 0 && !s.left {
		s.journal.phase, s.journal.plan, s.ahead = hosts.Failed, false, nil
	}
}

func (s *site) crash() {
	if s.left {
		return
	}
	s.work, s.ahead = "", nil
	if s.journal.plan && s.journal.phase != hosts.Done && s.journal.phase != hosts.Failed {
		s.begin("install", s.journal.attempt)
	}
}

func (s *site) retry() {
	if s.record.Phase == hosts.Failed {
		s.record.Phase = hosts.Assigned
		s.record.Attempt++
	}
}

// From every state that chance leads to, an honest host gets done as soon as the network, the other hosts and the
// operator do their part; and it is never called done before it is.
func TestTheDirectivesLeadToDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSite()
		flip := rapid.Bool()
		t.Repeat(map[string]func(*rapid.T){
			"sync":    func(t *rapid.T) { s.sync(flip.Draw(t, "request arrives"), flip.Draw(t, "answer arrives")) },
			"proceed": func(*rapid.T) { s.proceed() },
			"fail":    func(*rapid.T) { s.fail() },
			"crash":   func(*rapid.T) { s.crash() },
			"retry":   func(*rapid.T) { s.retry() },
			"away": func(t *rapid.T) {
				for range rapid.IntRange(1, 6).Draw(t, "phases passed while nobody listens") {
					s.proceed()
				}
			},
			"late delivery": func(t *rapid.T) {
				if len(s.sent) > 0 {
					s.hear(rapid.SampledFrom(s.sent).Draw(t, "report"))
				}
			},
			"others": func(t *rapid.T) {
				s.missing = nil
				if flip.Draw(t, "missing") {
					s.missing = []string{"1 more of 3 hosts of role master"}
				}
			},
			"": func(t *rapid.T) {
				if !slices.Contains(hosts.Phases, s.record.Phase) {
					t.Fatalf("the record says %q", s.record.Phase)
				}
				if (s.record.Phase == hosts.Done || s.left) && !s.installed {
					t.Fatalf("the record says %s, the host has left: %v, and it is not installed", s.record.Phase, s.left)
				}
			},
		})
		s.missing = nil
		for range 30 {
			s.sync(true, true)
			s.proceed()
			s.retry()
		}
		if s.record.Phase != hosts.Done || !s.left {
			t.Fatalf("after 30 rounds without trouble the record says %s (attempt %d), the host %s (attempt %d, %q under way); it has left: %v",
				s.record.Phase, s.record.Attempt, s.journal.phase, s.journal.attempt, s.work, s.left)
		}
	})
}

// A host that waits for others is not led past them.
func TestNobodyInstallsBeforeItsLateValuesAreKnown(t *testing.T) {
	s := newSite()
	s.missing = []string{"1 more of 3 hosts of role master"}
	for range 20 {
		s.sync(true, true)
		s.proceed()
	}
	if s.record.Phase != hosts.Ready || s.journal.phase != hosts.Ready || s.journal.plan {
		t.Fatalf("the record says %s, the host %s", s.record.Phase, s.journal.phase)
	}
	s.missing = nil
	for range 20 {
		s.sync(true, true)
		s.proceed()
	}
	if !s.left {
		t.Fatalf("the record says %s, the host %s", s.record.Phase, s.journal.phase)
	}
}
