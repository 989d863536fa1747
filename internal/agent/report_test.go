package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
	syncv1 "muster/proto/muster/sync/v1"
)

// offline is an engine that speaks to nobody.
func offline(t testing.TB) *Engine {
	t.Helper()
	l := newRoot(t)
	mustMkdir(t, l.State())
	return &Engine{layout: l, log: new(notes).logger(), journal: newJournal("h-1"), news: make(chan struct{}, 1), clock: time.Now}
}

func TestOneMessageIsNeverMoreThanTheCoordinatorTakes(t *testing.T) {
	e := offline(t)
	const reports = 450
	for n := range reports {
		r := &syncv1.Report{Sequence: uint64(n + 1), Kind: &syncv1.Report_Check{Check: &syncv1.CheckResult{Detail: strings.Repeat("x", 8000)}}}
		raw, err := proto.Marshal(r)
		must(t, err)
		e.journal.Reports, e.journal.Sequence = append(e.journal.Reports, raw), r.Sequence
	}
	next, messages := uint64(1), 0
	for ; len(e.journal.Reports) > 0; messages++ {
		req, _ := e.request("same", nil)
		if size := proto.Size(req); size > 1<<20 || len(req.Reports) == 0 {
			t.Fatalf("a message has %d bytes with %d reports", size, len(req.Reports))
		}
		if req.Hold != nil {
			t.Error("a host that has something to say asks to be held back")
		}
		for _, r := range req.Reports {
			if r.Sequence != next {
				t.Fatalf("report %d comes after %d", r.Sequence, next-1)
			}
			next++
		}
		must(t, e.acknowledge(next-1))
	}
	if next != reports+1 || messages < 4 {
		t.Errorf("%d reports went in %d messages", next-1, messages)
	}
}

func TestAHostLeavesOnlyAfterItHasSaidAll(t *testing.T) {
	e := offline(t)
	for range maxReports + 1 {
		must(t, e.Check(checks.Result{Name: "some"}))
	}
	leaving := &syncv1.Directive{Action: &syncv1.Directive_Leave{Leave: &syncv1.Leave{}}}
	must(t, e.acknowledge(maxReports))
	if _, err := e.follow(t.Context(), leaving); err != nil || e.journal.Leaving {
		t.Fatalf("with a report left it follows with %v, leaving: %v", err, e.journal.Leaving)
	}
	must(t, e.acknowledge(maxReports+1))
	if _, err := e.follow(t.Context(), leaving); err != errLeave {
		t.Fatalf("got %v", err)
	}
	j, err := loadJournal(e.layout, "h-1", e.log)
	if err != nil || !j.Leaving {
		t.Errorf("the journal does not say that it leaves: %+v, %v", j, err)
	}
}

func TestOnlyAChangeIsNews(t *testing.T) {
	e := offline(t)
	heard := func() bool {
		select {
		case <-e.news:
			return true
		default:
			return false
		}
	}
	for _, step := range []struct {
		what    string
		say     func()
		isNews  bool
		waiting string
	}{
		{"the first word", func() { e.Progress("fetch", 1, 10, "") }, true, ""},
		{"the same again", func() { e.Progress("fetch", 1, 10, "") }, false, ""},
		{"more bytes", func() { e.Progress("fetch", 2, 10, "") }, false, ""},
		{"more bytes after a while", func() {
			e.progressed = time.Now().Add(-countingPause)
			e.Progress("fetch", 3, 10, "")
		}, true, ""},
		{"a larger total", func() { e.Progress("fetch", 3, 11, "") }, false, ""},
		{"another step", func() { e.Progress("unpack", 2, 11, "") }, true, ""},
		{"something to wait for", func() { e.Progress("unpack", 2, 11, "the disk") }, true, "the disk"},
		{"a phase that ends it", func() { must(t, e.Phase(hosts.Failed)) }, true, ""},
		{"what was said before that", func() { e.Progress("unpack", 2, 11, "the disk") }, true, "the disk"},
	} {
		step.say()
		if got := heard(); got != step.isNews {
			t.Errorf("%s: news %v", step.what, got)
		}
		if req, _ := e.request("", nil); req.Observed.Waiting != step.waiting {
			t.Errorf("%s: the coordinator hears of waiting for %q", step.what, req.Observed.Waiting)
		}
	}
}

func TestAReportIsOnDiskBeforeAnybodyHearsOfIt(t *testing.T) {
	e := offline(t)
	must(t, e.Step(hosts.Installing, "unpack", "", time.Second, fault.New(fault.Unavailable, "make room", "no room")))
	kept := undelivered(t, e.layout)
	if len(kept) != 1 {
		t.Fatalf("%d reports are on disk", len(kept))
	}
	s := kept[0].GetStep()
	if kept[0].Sequence != 1 || kept[0].Attempt != 1 || s.Ok || s.Message != "no room" || s.Remedy != "make room" || s.Phase != syncv1.Phase_PHASE_INSTALLING {
		t.Errorf("got %v", kept[0])
	}
	// When it cannot be written, whoever works hears of that.
	must(t, removeAll(e.layout.State()))
	if err := e.Step(hosts.Installing, "bind", "", 0, nil); err == nil {
		t.Error("a report that is not on disk counts as told")
	}
	if err := e.Phase(hosts.Done); err == nil {
		t.Error("a phase that is not on disk counts as told")
	}
}

func TestTheCountingOfReportsGoesOnWhereTheCoordinatorStands(t *testing.T) {
	e := offline(t)
	must(t, e.acknowledge(41))
	must(t, e.Check(checks.Result{Name: "some"}))
	if kept := undelivered(t, e.layout); len(kept) != 1 || kept[0].Sequence != 42 {
		t.Errorf("got %v", kept)
	}
}

func TestTheClockOffsetIsThatOfTheQuickestExchange(t *testing.T) {
	e := offline(t)
	if _, known := e.clockOffset(); known {
		t.Error("an offset is known before anything was measured")
	}
	answer := func(offset, took time.Duration) {
		// It was written half-way.
		e.measure(&syncv1.SyncResponse{Now: timestamppb.New(time.Now().Add(offset - took/2))}, took)
	}
	for _, exchange := range []struct{ offset, took, want time.Duration }{
		{90 * time.Second, 20 * time.Second, 90 * time.Second},
		{105 * time.Second, 30 * time.Second, 90 * time.Second},
		{95 * time.Second, 10 * time.Millisecond, 95 * time.Second},
		{105 * time.Second, 30 * time.Second, 95 * time.Second},
		{-70 * time.Second, 20 * time.Millisecond, -70 * time.Second}, // it cannot be both: the coordinator's clock was set
	} {
		answer(exchange.offset, exchange.took)
		got, known := e.clockOffset()
		if difference := got - exchange.want; !known || difference.Abs() > time.Second {
			t.Errorf("after %v: %v, want %v", exchange, got, exchange.want)
		}
	}
}

func TestAHostFindsOutThatTheCoordinatorsClockIsAnother(t *testing.T) {
	s := newSite(t)
	s.restart(3 * time.Minute)
	h := s.host("worker")
	e := h.engine()
	h.runs(e)
	var offset time.Duration
	await(t, "the offset is known", func() (known bool) { offset, known = e.clockOffset(); return known })
	if off := offset - 3*time.Minute; off.Abs() > 2*time.Second {
		t.Errorf("the offset is %v", offset)
	}
}

func TestEveryStatusOfACheckIsTold(t *testing.T) {
	for status, want := range map[checks.Status]syncv1.CheckStatus{
		checks.OK: syncv1.CheckStatus_CHECK_STATUS_OK, checks.Warning: syncv1.CheckStatus_CHECK_STATUS_WARNING,
		checks.Critical: syncv1.CheckStatus_CHECK_STATUS_CRITICAL, checks.Unknown: syncv1.CheckStatus_CHECK_STATUS_UNKNOWN,
	} {
		e := offline(t)
		must(t, e.Check(checks.Result{Name: fmt.Sprint(status), Status: status}))
		if got := undelivered(t, e.layout)[0].GetCheck().Status; got != want {
			t.Errorf("%v is told as %v", status, got)
		}
	}
}
