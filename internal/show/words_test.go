package show

import (
	"math"
	"testing"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestStanding(t *testing.T) {
	seen := func(d, since time.Duration) func(*operatorv1.Host) {
		return func(h *operatorv1.Host) { h.LastSeen, h.PhaseSince = ago(d), ago(since) }
	}
	tests := []struct {
		name string
		host *operatorv1.Host
		want standing
	}{
		{"a done host is silent and not lost", host(1, "agent", 0, seen(time.Hour, time.Hour)), done},
		{"a done host whose bootstrap agent has stayed is lost when it is silent", host(1, "agent", 0, stays, seen(time.Minute, time.Hour)), lost},
		{"and done when it is not", host(1, "agent", 0, stays, seen(30*time.Second, time.Hour)), done},
		{"a failed host is failed before it is lost", host(1, "agent", 0, fails("fetch", "", ""), seen(time.Hour, time.Hour)), failed},
		{"a busy host that was heard works", host(1, "agent", 0, at(syncv1.Phase_PHASE_FETCHING, "fetch"), seen(19*time.Second, time.Hour)), working},
		{"a busy host that is silent is lost", host(1, "agent", 0, at(syncv1.Phase_PHASE_FETCHING, "fetch"), seen(21*time.Second, time.Hour)), lost},
		{"a call that is held back is no silence", host(1, "agent", 0, waits("roster"), seen(40*time.Second, time.Hour)), waiting},
		{"a waiting host that is silent is lost", host(1, "agent", 0, waits("roster"), seen(50*time.Second, time.Hour)), lost},
		{"a host that was just moved on has time to answer", host(1, "agent", 0, at(syncv1.Phase_PHASE_ASSIGNED, ""), seen(25*time.Second, time.Second)), working},
		{"a busy host that tries again waits", host(1, "agent", 0, at(syncv1.Phase_PHASE_FETCHING, "fetch"), func(h *operatorv1.Host) { h.Waiting = "503" }), waiting},
		{"a failed push", push("a", "auth", "", ""), pushFailed},
		{"a pushed host that has time to join", push("a", pushed, "", ""), waiting},
	}
	for _, test := range tests {
		if got := stand(test.host, now); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestProgress(t *testing.T) {
	tests := []struct {
		step        string
		done, total int64
		want        string
	}{
		{"fetch", 26_500_000, 42_000_000, "fetch 63% of 42 MB"},
		{"fetch", 0, 0, "fetch"},
		{"fetch", math.MaxInt64, 1, "fetch 100% of 1 B"},
		{"fetch", math.MinInt64, math.MaxInt64, "fetch 0% of 9.2 EB"},
		{"start", 2, 5, "start 2/5"},
	}
	for _, test := range tests {
		if got := progress(&operatorv1.Host{Step: test.step, DoneBytes: test.done, TotalBytes: test.total}); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestNumbersInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 75 * time.Second: "1m15s", 59 * time.Minute: "59m", 125 * time.Minute: "2h05m", 76 * time.Hour: "3d4h",
	} {
		if got := durationWord(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_940: "9.9 kB", 9_960: "10 kB", 999_499: "999 kB", 999_900: "1.0 MB"} {
		if got := bytesWord(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestChecksWord(t *testing.T) {
	for _, test := range []struct {
		host *operatorv1.Host
		want string
	}{
		{&operatorv1.Host{}, ""},
		{&operatorv1.Host{ChecksOk: 12, ChecksWarning: 1}, "12 ok, 1 warning"},
		{&operatorv1.Host{ChecksOk: 12, ChecksCritical: 2}, "2 critical"},
		{&operatorv1.Host{ChecksOk: 1, ChecksUnknown: 3}, "1 ok, 3 unknown"},
	} {
		if got := checksWord(test.host); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
