package show

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func all(hosts ...*operatorv1.Host) *operatorv1.WatchHostsResponse {
	return &operatorv1.WatchHostsResponse{Hosts: hosts, Complete: true}
}

func TestWithoutATerminalEachChangeIsOneLine(t *testing.T) {
	var out strings.Builder
	b := NewBoard(&out, false, nil)
	b.SetCluster(cluster())
	clock := now
	step := func(after time.Duration, resp *operatorv1.WatchHostsResponse) {
		clock = clock.Add(after)
		b.Apply(resp, clock)
		b.Draw(clock)
	}
	seen := func(h *operatorv1.Host) { h.PhaseSince, h.LastSeen = ago(now.Sub(clock)), ago(now.Sub(clock)) }
	// The first pass comes in pages; nothing is said before it is whole.
	b.Apply(&operatorv1.WatchHostsResponse{Hosts: []*operatorv1.Host{host(1, "master", 0, at(syncv1.Phase_PHASE_FETCHING, "fetch"))}}, clock)
	if out.Len() > 0 {
		t.Errorf("said %q in the middle of the first pass", out.String())
	}
	step(0, all(push("10.0.0.9", "unreachable", "no answer\non port 22", ""), push("10.0.0.7", pushed, "", "")))
	step(time.Second, all(host(1, "master", 0, at(syncv1.Phase_PHASE_INSTALLING, "unpack"), seen)))
	step(time.Second, all(host(1, "master", 0, at(syncv1.Phase_PHASE_INSTALLING, "unpack etcd"), seen)))
	joined := all(host(7, "", 0, at(syncv1.Phase_PHASE_ENROLLED, "wait"), seen, func(h *operatorv1.Host) { h.Waiting = "no rule gives this host a role" }))
	joined.Removed = []string{"10.0.0.7"}
	step(time.Second, joined)
	step(15*time.Second, all(host(7, "", 0, at(syncv1.Phase_PHASE_ENROLLED, "wait"), seen, func(h *operatorv1.Host) { h.Waiting = "waiting for approval" })))
	step(5*time.Second, all(host(7, "agent", 0, fails("preflight", "port 2379 is taken", "stop etcd"), seen)))
	step(20*time.Second, all())
	step(time.Second, all(host(1, "master", 0, at(syncv1.Phase_PHASE_INSTALLING, "unpack"), seen)))
	step(time.Second, all(host(1, "master", 0, seen)))
	step(time.Second, &operatorv1.WatchHostsResponse{Removed: []string{"h-7"}})
	// A new stream after the coordinator's restart: what it does not bring is gone.
	b.Restart()
	step(time.Second, all(host(1, "master", 0, seen)))
	golden(t, "watch-lines", out.String())
	if got := len(b.Hosts()); got != 1 {
		t.Errorf("%d hosts are left, not 1", got)
	}
}

func TestABigClusterIsNotListedAtTheBeginning(t *testing.T) {
	var out strings.Builder
	b := NewBoard(&out, false, nil)
	b.Apply(all(fleet(2000)...), now)
	if n := strings.Count(out.String(), "\n"); n > maxFailures+2 {
		t.Errorf("%d lines for 2000 hosts", n)
	}
	if !strings.Contains(out.String(), "15:04:05 2000 hosts: ") {
		t.Errorf("no summary in %q", out.String())
	}
}

// screen obeys what a board writes, as a terminal would.
type screen struct {
	lines []string
	row   int
	rows  int
	err   string
}

func (s *screen) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		var n int
		switch {
		case strings.HasPrefix(text, wrapOff), strings.HasPrefix(text, wrapOn):
			text = text[len(wrapOn):]
		case strings.HasPrefix(text, clearBelow):
			s.lines = s.lines[:s.row]
			text = text[len(clearBelow):]
		case strings.HasPrefix(text, "\x1b["):
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err != nil {
				s.err = fmt.Sprintf("does not know %q", text[:8])
			}
			if n >= s.rows {
				s.err = fmt.Sprintf("goes up %d lines on a terminal of %d", n, s.rows)
			}
			s.row -= n
			text = text[strings.Index(text, "A")+1:]
		default:
			line, rest, _ := strings.Cut(text, "\n")
			s.lines = append(s.lines, line)
			s.row++
			text = rest
		}
	}
	return len(p), nil
}

func onTerminal(rows, columns int) (*Board, *screen) {
	s := &screen{rows: rows}
	b := NewBoard(s, true, func() int { return columns })
	b.height = func() int { return rows }
	return b, s
}

func TestOnATerminalTheBoardIsRedrawnInPlace(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	b, s := onTerminal(30, 100)
	b.SetCluster(cluster())
	_, _ = s.Write([]byte("what was there before\n"))
	b.Apply(all(oneFailed()...), now)
	b.Draw(now)
	b.Apply(all(host(4, "agent", 0)), now)
	b.Notice("the coordinator does not answer", now)
	b.Draw(now)
	golden(t, "board", strings.Join(s.lines, "\n")+"\n")
	b.Clear()
	if got := strings.Join(s.lines, "\n"); got != "what was there before" || s.err != "" {
		t.Errorf("after Clear there is %q %s", got, s.err)
	}
}

func TestTheBoardNeverLeavesTheTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, columns := rapid.IntRange(2, 60).Draw(t, "rows"), rapid.IntRange(1, 150).Draw(t, "columns")
		b, s := onTerminal(rows, columns)
		b.SetCluster(cluster())
		for range 4 {
			b.Apply(all(fleet(rapid.IntRange(0, 900).Draw(t, "hosts"))...), now)
			b.Draw(now)
			if s.err != "" || len(s.lines) > max(1, rows-1) || s.row != len(s.lines) {
				t.Fatalf("%d lines on a terminal of %d; %s", len(s.lines), rows, s.err)
			}
		}
		if last := s.lines[len(s.lines)-1]; rows > 12 && columns > 60 && !strings.Contains(last, "public-agent") {
			t.Fatalf("the summary is cut away: %q", last)
		}
	})
}

func BenchmarkDraw50000(bench *testing.B) {
	b, s := onTerminal(50, 120)
	b.Apply(all(fleet(50_000)...), now)
	for bench.Loop() {
		s.lines, s.row = nil, b.drawn
		b.Draw(now)
		s.row = 0
	}
}
