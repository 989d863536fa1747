package coordinator_test

import (
	"testing"

	"muster/internal/hosts"
)

// Blobs of old generations go only while no host may be working on a plan of one.
func TestHostsUnderWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	want := func(n int, when string) {
		t.Helper()
		if got, err := s.core.UnderWay(t.Context()); err != nil || got != n {
			t.Errorf("%s: %d hosts, %v, want %d", when, got, err, n)
		}
	}
	want(0, "joined")
	for _, p := range []hosts.Phase{hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight} {
		h.says(p)
		want(1, string(p))
	}
	h.says(hosts.Done)
	want(0, "done")
}
