package show

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"pgregory.net/rapid"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestTable(t *testing.T) {
	lostHost := func(h *operatorv1.Host) { h.LastSeen = ago(45 * time.Second); h.PhaseSince = ago(4 * time.Minute) }
	hostile := "evil\x1b]0;owned\x07\x1b[2J\nhost9  10.0.0.9  master/0  done \u202egnp.exe\xff"
	tests := []struct {
		name  string
		hosts []*operatorv1.Host
		opts  TableOptions
	}{
		{name: "no-hosts"},
		{name: "all-done", hosts: []*operatorv1.Host{
			host(1, "master", 0), host(2, "master", 1), host(3, "master", 2), host(4, "agent", 0), host(5, "public-agent", 0),
		}},
		{name: "one-failed", hosts: oneFailed()},
		{name: "one-failed-narrow", hosts: oneFailed(), opts: TableOptions{Width: 64}},
		{name: "one-failed-colour", hosts: oneFailed(), opts: TableOptions{Width: 120, Colour: true}},
		{name: "quarantined", hosts: []*operatorv1.Host{host(1, "master", 0), quarantined()}, opts: TableOptions{Width: 100}},
		{name: "push-failed", hosts: []*operatorv1.Host{
			host(1, "master", 0), push("10.0.0.7", pushed, "", ""),
			push("admin@10.0.0.8", "sudo-password", "sudo on 10.0.0.8 asks for a password", "allow it without one, or say --ask-sudo"),
			push("10.0.0.9", "unreachable", "no answer on port 22", ""),
		}},
		{name: "push-never-joined", hosts: []*operatorv1.Host{func() *operatorv1.Host {
			h := push("10.0.0.7", pushed, "", "")
			h.PhaseSince = ago(7 * time.Minute)
			return h
		}()}},
		{name: "waiting-for-roster", hosts: []*operatorv1.Host{
			host(1, "master", 0, waits("waiting for Roster.master: 1 of 3 members is missing")),
			host(2, "master", 1, waits("waiting for Roster.master: 1 of 3 members is missing")),
			host(4, "agent", 0, waits("waiting for Roster.master: 1 of 3 members is missing")),
			host(5, "", 0, at(syncv1.Phase_PHASE_ENROLLED, "wait"), func(h *operatorv1.Host) {
				h.ChecksOk, h.Waiting = 0, "no rule gives this host a role; coordinator hosts approve gives it one"
			}),
		}},
		{name: "lost", hosts: []*operatorv1.Host{
			host(1, "master", 0, at(syncv1.Phase_PHASE_INSTALLING, "unpack etcd"), lostHost, func(h *operatorv1.Host) { h.DoneBytes, h.TotalBytes = 1, 3 }),
			host(2, "master", 1, at(syncv1.Phase_PHASE_FETCHING, "fetch"), func(h *operatorv1.Host) {
				h.DoneBytes, h.TotalBytes, h.Waiting = 1, 4_000, "mirror-a answers 503; trying the coordinator"
			}),
			host(3, "master", 2, waits("waiting for Roster.master"), func(h *operatorv1.Host) { h.LastSeen = ago(30 * time.Second) }),
			host(4, "agent", 0, at(syncv1.Phase_PHASE_STARTING, "start"), func(h *operatorv1.Host) { h.LastSeen = nil }),
		}},
		{name: "hostile", hosts: []*operatorv1.Host{
			host(1, "master", 0, func(h *operatorv1.Host) { h.Name, h.Address = hostile, "10.0.0.1 x" }),
			host(2, "agent", 0, fails("pre\nflight", hostile+strings.Repeat("A", 3000), "run \x1b[8mrm -rf /\x1b[0m\u2066")),
			host(3, "agent", 0, func(h *operatorv1.Host) { h.Name = strings.Repeat("e\u0301\u0302\u0303", 300) }),
		}, opts: TableOptions{Width: 100}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Table(cluster(), test.hosts, now, test.opts)
			fits(t, got, test.opts.Width)
			if test.opts.Colour != strings.Contains(got, "\x1b") {
				t.Errorf("colour %v, but there is an escape: %v", test.opts.Colour, !test.opts.Colour)
			}
			golden(t, test.name, got)
		})
	}
}

// fits says if a line is wider than the terminal.
func fits(t testing.TB, got string, width int) {
	t.Helper()
	for line := range strings.Lines(got) {
		if n := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
			t.Errorf("%d columns of %d: %s", n, width, line)
		}
	}
}

func fleet(n int) []*operatorv1.Host {
	hosts := make([]*operatorv1.Host, n)
	for i := range hosts {
		h := host(i, "agent", 0)
		switch {
		case i < 3:
			h = host(i, "master", int32(i))
		case i%400 == 7:
			h = host(i, "agent", 0, fails([]string{"preflight", "fetch", "start"}[i%3], "no space left on /opt: 120 MB", "free 2 GB on /opt"))
		case i%100 == 3:
			h = host(i, "agent", 0, at(syncv1.Phase_PHASE_FETCHING, "fetch"))
			if i%10_000 == 1003 {
				h.LastSeen, h.PhaseSince = ago(time.Minute), ago(2*time.Minute)
			}
		case i%10 == 1:
			h = host(i, "agent", 0, waits("waiting for Endpoint"))
		}
		hosts[i] = h
	}
	return hosts
}

func TestTableOfFiftyThousandHosts(t *testing.T) {
	got := Table(cluster(), fleet(50_000), now, TableOptions{Width: 110})
	fits(t, got, 110)
	lines := strings.SplitAfter(got, "\n")
	golden(t, "fifty-thousand", strings.Join(lines[3*maxFailures-5:], ""))
	if n := strings.Count(got, "remedy: free"); n != maxFailures {
		t.Errorf("%d failures are shown, not %d", n, maxFailures)
	}
	all := Table(cluster(), fleet(3000), now, TableOptions{All: true})
	for i := range 3000 {
		if !strings.Contains(all, "\nhost"+strconv.Itoa(i)+" ") {
			t.Fatalf("host%d is missing with All", i)
		}
	}
}

func TestTheOrderIsByNeedAndTheSameWhateverOrderHostsComeIn(t *testing.T) {
	hosts := append(fleet(40), push("10.1.0.1", "auth", "refused", ""), push("10.1.0.2", pushed, "", ""))
	want := Table(cluster(), hosts, now, TableOptions{})
	rapid.Check(t, func(t *rapid.T) {
		if got := Table(cluster(), rapid.Permutation(hosts).Draw(t, "hosts"), now, TableOptions{}); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
	last := failed
	for _, h := range newGatherOf(hosts).rest.first() {
		if s := stand(h, now); s < last {
			t.Fatalf("%s stands after worse ones", h.Name)
		} else {
			last = s
		}
	}
}

func newGatherOf(hosts []*operatorv1.Host) *gather {
	g := newGather(cluster(), now, TableOptions{})
	for _, h := range hosts {
		g.add(h)
	}
	return g
}

// drawText draws what a host may say: anything.
func drawText(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"", "\x1b[2J", "\r\n", "世界世界世界世界世界世界", "\u202e", "a b", "\u009b31m"})).Draw(t, label)
}

func TestTablesAreHarmlessAndFitWhateverHostsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var hosts []*operatorv1.Host
		for i := range rapid.IntRange(0, 6).Draw(t, "hosts") {
			h := &operatorv1.Host{
				Id: fmt.Sprint(i), Name: drawText(t, "name"), Address: drawText(t, "address"), Role: drawText(t, "role"), Index: rapid.Int32().Draw(t, "index"),
				Phase: syncv1.Phase(rapid.Int32Range(-1, 15).Draw(t, "phase")), Step: drawText(t, "step"), Waiting: drawText(t, "waiting"),
				DoneBytes: rapid.Int64().Draw(t, "done"), TotalBytes: rapid.Int64().Draw(t, "total"), ChecksOk: rapid.Int32().Draw(t, "ok"),
				FailedStep: drawText(t, "failed"), Failure: drawText(t, "failure"), Remedy: drawText(t, "remedy"), Push: drawText(t, "push"),
				LastSeen: ago(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "seen"))),
			}
			hosts = append(hosts, h)
		}
		width := rapid.IntRange(0, 200).Draw(t, "width")
		got := Table(cluster(), hosts, now, TableOptions{Width: width})
		harmless(t, got, "\n")
		if width >= 20 {
			for line := range strings.Lines(got) {
				if n := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")); n > width {
					t.Fatalf("%d columns of %d: %q", n, width, line)
				}
			}
		}
	})
}

func BenchmarkTable50000(b *testing.B) {
	hosts := fleet(50_000)
	for b.Loop() {
		Table(cluster(), hosts, now, TableOptions{Width: 120})
	}
}
