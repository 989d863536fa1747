package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"muster/internal/coordinator"
	syncv1 "muster/proto/muster/sync/v1"
)

// undelivered are the reports that the journal on disk holds.
func undelivered(t testing.TB, l Layout) []*syncv1.Report {
	t.Helper()
	raw, err := os.ReadFile(l.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(t, err)
	var j journal
	must(t, json.Unmarshal(raw, &j))
	var reports []*syncv1.Report
	for _, raw := range j.Reports {
		r := new(syncv1.Report)
		must(t, proto.Unmarshal(raw, r))
		reports = append(reports, r)
	}
	return reports
}

// wantRecovery wants a host that was interrupted to finish as one that was not: all that it had said and all that it
// had written down is with the coordinator, once.
func (h *host) wantRecovery(want map[string]string) {
	h.Helper()
	var said []*syncv1.Report
	if h.described() != nil {
		said = h.reports()
	}
	said = append(said, undelivered(h, h.layout)...)
	h.finish()
	if d := h.described(); d == nil || d.Phase != syncv1.Phase_PHASE_DONE || d.Attempt != 1 {
		h.Errorf("the coordinator says %v", d)
	}
	kept := h.reports()
	for _, r := range said {
		if r.Sequence > uint64(len(kept)) || !proto.Equal(kept[r.Sequence-1], r) {
			h.Errorf("report %d is not kept as it was made: %v", r.Sequence, r)
		}
	}
	wantTree(h, h.layout, want)
	if all, err := h.core.Events(context.Background(), coordinator.EventFilter{}, 1000); err != nil {
		h.Error(err)
	} else {
		for _, e := range all {
			if e.Kind != "enrolled" && e.Kind != "done" && e.Kind != "token-created" && e.Kind != "seed-created" {
				h.Errorf("an event %s: %s", e.Kind, e.Message)
			}
		}
	}
}

// undisturbed is what an installation looks like that nothing happened to, and how often it wrote its journal.
func undisturbed(t *testing.T) (map[string]string, int) {
	t.Helper()
	h := newSite(t).host("loner")
	out, _ := h.child(0)
	writes, err := strconv.Atoi(out)
	if err != nil || writes < 30 {
		t.Fatalf("the agent wrote its journal %q times", out)
	}
	return tree(t, h.layout), writes
}

func TestAnAgentKilledAfterAnyWriteOfItsJournalGoesOn(t *testing.T) {
	want, writes := undisturbed(t)
	for n := 1; n <= writes; n++ {
		if testing.Short() && n%5 != 0 {
			continue
		}
		t.Run(fmt.Sprintf("killed after write %d", n), func(t *testing.T) {
			t.Parallel()
			h := newSite(t).host("loner")
			if _, killed := h.child(n); !killed {
				t.Skip("this time it wrote less often")
			}
			h.wantRecovery(want)
		})
	}
}

func TestAnAgentStoppedAfterAnyWriteOfItsJournalGoesOn(t *testing.T) {
	want, writes := undisturbed(t)
	for n := 1; n <= writes; n += 3 {
		t.Run(fmt.Sprintf("stopped after write %d", n), func(t *testing.T) {
			t.Parallel()
			h := newSite(t).host("loner")
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			e, count := h.engine(), 0
			e.kept = func() {
				if count++; count == n {
					cancel()
				}
			}
			err := e.Run(ctx)
			if count < n {
				t.Skip("this time it wrote less often")
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if err == nil {
				wantTree(t, h.layout, want) // the last write: it left all the same
				return
			}
			h.wantRecovery(want)
		})
	}
}

func TestAnAgentThatDiesAgainAndAgainArrives(t *testing.T) {
	want, _ := undisturbed(t)
	h := newSite(t).host("loner")
	for n := 2; ; n++ {
		if _, killed := h.child(n); !killed {
			break
		}
	}
	wantTree(t, h.layout, want)
	last := ""
	for _, step := range h.steps() {
		last = step
	}
	if last != "1 postflight" || strings.Contains(strings.Join(h.steps(), ","), "failed") {
		t.Errorf("the steps were %q", h.steps())
	}
}
