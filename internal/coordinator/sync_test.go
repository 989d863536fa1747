package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	syncv1 "muster/proto/muster/sync/v1"
)

func (h *host) reports() []*syncv1.Report {
	h.Helper()
	reports, err := h.core.Reports(context.Background(), h.Host)
	if err != nil {
		h.Fatal(err)
	}
	return reports
}

func TestReportsAreKeptOnceHoweverOftenTheyAreSent(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	two := []*syncv1.Report{report(1, 1, true), report(2, 1, true)}
	for range 3 {
		if got := h.sync(&syncv1.SyncRequest{Reports: two}).Acknowledged; got != 2 {
			t.Errorf("acknowledged %d, want 2", got)
		}
	}
	// One that was acknowledged cannot be changed afterwards, nor one slipped in before it.
	forged := report(2, 1, false)
	if got := h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{report(0, 1, false), report(1, 1, false), forged}}).Acknowledged; got != 2 {
		t.Errorf("acknowledged %d, want 2", got)
	}
	reports := h.reports()
	if len(reports) != 2 || !reports[0].GetStep().Ok || !reports[1].GetStep().Ok {
		t.Errorf("%v", reports)
	}
}

func TestASyncWithoutNewsWritesNothing(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	r := &syncv1.SyncRequest{Observed: h.observed(hosts.Preflight), Reports: []*syncv1.Report{report(1, 1, true)}}
	h.sync(r)
	before := h.state()
	h.clock.advance(time.Minute)
	h.sync(r)
	h.wantState(before)
	if seen := h.describe("node-1").LastSeen.AsTime(); !seen.Equal(start.Add(time.Minute)) {
		t.Errorf("last seen %v", seen)
	}
}

// The file is copied as it is at the moment of the answer, as after a power cut.
func TestWhatIsAcknowledgedIsOnDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	h.says(hosts.Preflight)
	resp := h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{report(7, 1, false)}, Observed: h.observed(hosts.Failed)})
	file, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.path += ".copy"
	if err := os.WriteFile(s.path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	running := s.store
	t.Cleanup(func() { _ = running.Close() })
	s.open()
	if got := h.reports(); resp.Acknowledged != 7 || len(got) != 1 || got[0].Sequence != 7 {
		t.Errorf("acknowledged %d, and on disk %v", resp.Acknowledged, got)
	}
	if got := s.describe("node-1"); got.Failure != "no space left" || got.Phase != syncv1.Phase_PHASE_FAILED {
		t.Errorf("%v", got)
	}
}

func TestAHostCannotFillTheDiskWithReports(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]uint64{"one after the other": 1, "with gaps": 1000, "with wide gaps": 1 << 50} {
		t.Run(name, func(t *testing.T) {
			h := newSite(t).join("agent", 1)
			var last uint64
			for range 6 {
				r := &syncv1.SyncRequest{}
				for range 256 {
					last += step
					r.Reports = append(r.Reports, report(last, 1, true))
				}
				h.sync(r)
			}
			reports := h.reports()
			if len(reports) > 512 || len(reports) == 0 || reports[len(reports)-1].Sequence != last {
				t.Errorf("%d are kept", len(reports))
			}
		})
	}
}

func TestReportsThatAreTooLongForOneAnswerLeaveTheNewest(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	for sequence := uint64(1); sequence <= 512; {
		r := &syncv1.SyncRequest{}
		for range 64 {
			long := report(sequence, 1, true)
			long.GetStep().Detail = strings.Repeat("x", 10_000)
			r.Reports, sequence = append(r.Reports, long), sequence+1
		}
		h.sync(r)
	}
	reports := h.reports()
	if n := len(reports); n < 200 || n > 256 || reports[n-1].Sequence != 512 {
		t.Errorf("%d reports, the last %v", n, reports[n-1].Sequence)
	}
}

func TestWhatAHostSaysIsCutToALength(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	long := strings.Repeat("\x1b\n<script>é", 1<<16)
	h.sync(&syncv1.SyncRequest{
		Reports: []*syncv1.Report{
			{Sequence: 1, Attempt: 1, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{Name: long, Message: long, Detail: long, Remedy: long}}},
			{Sequence: 2, PlanId: long, Attempt: 1, Kind: &syncv1.Report_Check{Check: &syncv1.CheckResult{Name: long, Stage: long, Summary: long, Detail: long, Remedy: long}}},
			{Sequence: 3, Attempt: 1},
		},
		Facts:    &syncv1.Facts{Name: long, Address: long, Architecture: long, Os: long, Kernel: long, Zone: long, AgentVersion: long, Labels: map[string]string{long: long}},
		Observed: &syncv1.Observed{PlanId: long, Step: long, Waiting: long, Attempt: 1},
	})
	size := 0
	for key, value := range h.state() {
		size += len(key) + len(value)
	}
	if size > 64<<10 {
		t.Errorf("%d bytes are kept of one host", size)
	}
	got := h.describe("node-1")
	if len(got.String()) > 16<<10 {
		t.Errorf("%d bytes are shown of one host", len(got.String()))
	}
	// The facts do not rename the host, move it or label it.
	if got.Name != "node-1" || got.Address != "10.0.0.2" || got.Facts.Zone != "" || len(got.Facts.Labels) != 0 {
		t.Errorf("%v", got)
	}
	for _, e := range h.events("address-changed") {
		if strings.ContainsAny(e.Message, "\x1b\n") || len(e.Message) > 1024 {
			t.Errorf("%q", e.Message)
		}
	}
	h.wantEvent("address-changed", "node-1 joined with the address 10.0.0.2 and now says")
}

func TestAHostCannotFillTheEvents(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	for range 100 {
		h.sync(&syncv1.SyncRequest{Observed: h.observed(hosts.Done), Facts: &syncv1.Facts{Address: "10.9.9.9"}})
	}
	h.wantEvent("impossible-phase", "a host that is assigned cannot be done")
	h.wantEvent("address-changed", "10.9.9.9")
}

// The table of phases, from the outside: everything that a host may say after everything, and nothing else.
func TestPhasesFollowTheTable(t *testing.T) {
	t.Parallel()
	ways := map[hosts.Phase][]hosts.Phase{
		hosts.Assigned:   {},
		hosts.Preflight:  {hosts.Preflight},
		hosts.Ready:      {hosts.Preflight, hosts.Ready},
		hosts.Fetching:   {hosts.Preflight, hosts.Ready, hosts.Fetching},
		hosts.Installing: {hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing},
		hosts.Starting:   {hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting},
		hosts.Postflight: {hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight},
		hosts.Done:       {hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight, hosts.Done},
		hosts.Failed:     {hosts.Preflight, hosts.Failed},
	}
	s := newSite(t)
	n := 0
	for from, way := range ways {
		for _, to := range hosts.Phases {
			n++
			h := s.join("public-agent", n)
			h.says(way...)
			before := s.state()
			h.says(to)
			got := s.describe(string(h.Host)).Phase
			want, err := hosts.Observe(from, to)
			if got != h.observed(want).Phase {
				t.Errorf("%s after %s: it is %v, want %s", to, from, got, want)
			}
			if err == nil {
				continue
			}
			s.wantState(before)
			told := slices.ContainsFunc(s.events("impossible-phase"), func(e coordinator.Event) bool { return e.Host == h.Host })
			// A host that still says enrolled while it has been assigned does not lie.
			if told == (to == hosts.Enrolled || to == hosts.Assigned) {
				t.Errorf("%s after %s: that it is impossible is recorded: %v", to, from, told)
			}
		}
	}
}

func TestPhasesThatDoNotExistChangeNothing(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	before := h.state()
	for _, p := range []syncv1.Phase{-1, 0, 13, 1 << 30} {
		h.sync(&syncv1.SyncRequest{Observed: &syncv1.Observed{Phase: p, Attempt: 1}})
	}
	h.wantState(before)
}

func TestAFailedHostWaitsUntilItIsToldToTryAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := newSite(t).join("public-agent", 1)
	h.says(hosts.Preflight)
	d := h.sync(&syncv1.SyncRequest{Observed: h.observed(hosts.Failed), Reports: []*syncv1.Report{
		checked(1, "disk", syncv1.CheckStatus_CHECK_STATUS_OK), checked(2, "disk", syncv1.CheckStatus_CHECK_STATUS_CRITICAL), report(3, 1, false),
	}}).Directive
	wantWait(t, d, "failed at unpack; waiting for a retry")
	got := h.describe("node-1")
	if got.FailedStep != "unpack" || got.Failure != "no space left" || got.Remedy != "make room" || got.ChecksCritical != 1 || got.ChecksOk != 0 {
		t.Errorf("%v", got)
	}
	h.wantEvent("failed", "node-1: unpack: no space left")

	answer := h.waits(d.Id, time.Minute)
	if _, err := h.core.Retry(ctx, operator, "node-1"); err != nil {
		t.Fatal(err)
	}
	again := soon(t, answer).Directive
	if again.GetPreflight() == nil || again.Attempt != 2 {
		t.Errorf("it is told %v", again)
	}
	if got := h.describe("node-1"); got.Attempt != 2 || got.FailedStep != "" || got.ChecksCritical != 0 || got.Phase != syncv1.Phase_PHASE_ASSIGNED {
		t.Errorf("%v", got)
	}
	// What it still says of the first attempt is history.
	resp := h.sync(&syncv1.SyncRequest{Observed: h.observed(hosts.Failed), Reports: []*syncv1.Report{report(4, 1, false)}})
	if got := h.describe("node-1"); got.FailedStep != "" || got.Phase != syncv1.Phase_PHASE_ASSIGNED || resp.Acknowledged != 4 {
		t.Errorf("%v, acknowledged %d", got, resp.Acknowledged)
	}
	h.attempt = 2
	h.says(hosts.Preflight, hosts.Ready)
	_, err := h.core.Retry(ctx, operator, "node-1")
	wantFault(t, err, fault.Conflict, "host node-1 is ready")
	h.wantEvent("retry", "node-1")
}

func TestAHostThatIsDoneIsToldToLeave(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("public-agent", 1)
	d := h.says(hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight, hosts.Done)
	if d.GetLeave() == nil {
		t.Errorf("it is told %v", d)
	}
	h.wantEvent("done", "node-1 is installed as public-agent")
	if got := h.describe("node-1"); !got.Done.AsTime().Equal(start) {
		t.Errorf("done at %v", got.Done)
	}
}

func TestAnAnswerIsHeldBackUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("public-agent", 1)
	d := h.asks()
	for name, r := range map[string]*syncv1.SyncRequest{
		"no time to hold":         {Following: d.Id},
		"a negative time":         {Following: d.Id, Hold: durationpb.New(-time.Hour)},
		"another directive":       {Following: "older", Hold: durationpb.New(time.Hour)},
		"none followed":           {Hold: durationpb.New(time.Hour)},
		"a time that is no time":  {Following: d.Id, Hold: &durationpb.Duration{Seconds: -1 << 62, Nanos: 1 << 30}},
		"a change with this call": {Following: d.Id, Hold: durationpb.New(time.Hour), Observed: &syncv1.Observed{Phase: syncv1.Phase_PHASE_READY, Attempt: 1}},
	} {
		answer := make(chan *syncv1.SyncResponse)
		go func() { answer <- h.sync(r) }()
		if soon(t, answer).Directive == nil {
			t.Error(name)
		}
	}
	// The end of the hold is an answer too, and the same one; the test's clock stands still meanwhile.
	d = h.asks()
	began := time.Now()
	resp := soon(t, h.waits(d.Id, 150*time.Millisecond))
	if took := time.Since(began); resp.Directive.Id != d.Id || took < 140*time.Millisecond || took > 2*time.Second {
		t.Errorf("after %v: %v", took, resp.Directive)
	}
}

func TestAHostThatHangsUpIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("public-agent", 1)
	d := h.asks()
	ctx, hangUp := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := h.core.Sync(ctx, h.caller(), &syncv1.SyncRequest{Following: d.Id, Hold: durationpb.New(time.Hour)})
		ended <- err
	}()
	hangUp()
	if err := soon(t, ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func checked(sequence uint64, name string, status syncv1.CheckStatus) *syncv1.Report {
	return &syncv1.Report{Sequence: sequence, Attempt: 1, Kind: &syncv1.Report_Check{Check: &syncv1.CheckResult{
		Name: name, Stage: "preflight", Status: status,
	}}}
}

func TestChecksAreCountedByTheirLatestOutcome(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	r := &syncv1.SyncRequest{}
	for n := range 256 {
		r.Reports = append(r.Reports, checked(uint64(n+1), fmt.Sprint(n), syncv1.CheckStatus_CHECK_STATUS_WARNING))
	}
	h.sync(r)
	h.sync(&syncv1.SyncRequest{Reports: []*syncv1.Report{
		checked(257, "0", syncv1.CheckStatus_CHECK_STATUS_OK), checked(258, "one too many", syncv1.CheckStatus_CHECK_STATUS_OK),
	}})
	if got := h.describe("node-1"); got.ChecksWarning != 255 || got.ChecksOk != 1 {
		t.Errorf("%d ok, %d warning", got.ChecksOk, got.ChecksWarning)
	}
}

func TestAStateOfAnotherClusterIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("master", 1)
	before := s.state()
	s.generation.Cluster = "other"
	_, err := s.serve()
	wantFault(t, err, fault.Conflict, `the state belongs to cluster "demo"`)
	s.wantState(before)
}
