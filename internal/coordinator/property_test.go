package coordinator_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/hosts"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// inMemory is a directory where a write costs no wait for a disk, if this machine has one.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "muster-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Whatever hosts and operators do in whatever order, and whenever the coordinator is killed, the rosters are exact, no
// two hosts have one address and what was acknowledged stays so.
func TestInvariantsHoldInEveryHistory(t *testing.T) {
	t.Parallel()
	// Mostly they wait for the store to gather a batch: all at once, they take as long as one.
	for n := range atOnce {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			checkHistories(t)
		})
	}
}

const atOnce = 5

func TestMain(m *testing.M) {
	// Of the checks that rapid does without being told, each gets its share.
	if err := flag.Set("rapid.checks", strconv.Itoa(100/atOnce)); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}

func checkHistories(t *testing.T) {
	ctx := context.Background()
	ca, dir := newCA(t), inMemory(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		s := newSite(t, func(s *site) { s.ca, s.path = ca, filepath.Join(dir, strconv.Itoa(runs)) })
		defer func() { _ = s.store.Close() }()
		var alive []*host
		sequence := make(map[hosts.ID]uint64)
		pick := func(rt *rapid.T) *host {
			if len(alive) == 0 {
				rt.Skip()
			}
			return rapid.SampledFrom(alive).Draw(rt, "host")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"enrol": func(rt *rapid.T) {
				a := numbered(rapid.IntRange(0, 9).Draw(rt, "number"))
				role := rapid.SampledFrom([]manifest.Role{"master", "agent", ""}).Draw(rt, "role")
				a.token, a.key = s.token(role, 1), newKey(s)
				taken := slices.ContainsFunc(alive, func(h *host) bool { return s.describe(string(h.Host)).Address == a.address })
				c, err := s.apply(a)
				if (err != nil) != taken {
					rt.Fatalf("the address is taken: %v, the answer: %v", taken, err)
				}
				if err == nil {
					alive = append(alive, &host{site: s, Credential: c, key: a.key, attempt: 1})
				}
			},
			"enrol again": func(rt *rapid.T) {
				h := pick(rt)
				a := numbered(11)
				a.key, a.token = h.key, s.token("", 1)
				if c, err := s.apply(a); err != nil || c.Host != h.Host {
					rt.Fatalf("%v %v", c.Host, err)
				}
			},
			"sync": func(rt *rapid.T) {
				h := pick(rt)
				phase := rapid.SampledFrom(hosts.Phases).Draw(rt, "phase")
				n := rapid.Uint64Range(0, 40).Draw(rt, "sequence")
				got := h.sync(&syncv1.SyncRequest{Observed: h.observed(phase), Reports: []*syncv1.Report{report(n, h.attempt, false)}}).Acknowledged
				if want := max(n, sequence[h.Host]); got != want {
					rt.Fatalf("acknowledged %d, want %d", got, want)
				}
				sequence[h.Host] = got
			},
			"retry": func(rt *rapid.T) {
				h := pick(rt)
				failed := s.describe(string(h.Host)).Phase == h.observed(hosts.Failed).Phase
				if _, err := s.core.Retry(ctx, operator, string(h.Host)); (err == nil) != failed {
					rt.Fatalf("failed: %v, the answer: %v", failed, err)
				}
				if failed {
					h.attempt++
				}
			},
			"assign": func(rt *rapid.T) {
				_, _ = s.core.Assign(ctx, operator, string(pick(rt).Host), rapid.SampledFrom([]manifest.Role{"master", "agent"}).Draw(rt, "role"))
			},
			"remove": func(rt *rapid.T) {
				h := pick(rt)
				if err := s.core.Remove(ctx, operator, string(h.Host)); err != nil {
					rt.Fatal(err)
				}
				alive = slices.DeleteFunc(alive, func(other *host) bool { return other == h })
			},
			"restart": func(*rapid.T) { s.restart() },
			"": func(rt *rapid.T) {
				cluster, err := s.core.ClusterState(ctx)
				if err != nil {
					rt.Fatal(err)
				}
				rows, _ := s.list(0)
				if len(rows) != len(alive) || cluster.Hosts != int64(len(alive)) {
					rt.Fatalf("%d rows, %d counted, %d alive", len(rows), cluster.Hosts, len(alive))
				}
				places := make(map[string]int32)
				for i, m := range cluster.Roles[0].Members {
					if m.HostId != "" {
						if _, twice := places[m.HostId]; twice {
							rt.Fatalf("%s is in the roster twice", m.Name)
						}
						places[m.HostId] = int32(i)
					}
				}
				addresses := make(map[string]bool)
				for _, h := range rows {
					if addresses[h.Address] {
						rt.Fatalf("two hosts are at %s", h.Address)
					}
					addresses[h.Address] = true
					place, member := places[h.Id]
					if member != (h.Role == "master") || member && place != h.Index {
						rt.Fatalf("%s is %q at %d, in the roster at %d (%v)", h.Name, h.Role, h.Index, place, member)
					}
					delete(places, h.Id)
				}
				if len(cluster.Roles[0].Members) != 3 || len(places) > 0 {
					rt.Fatalf("the roster has members that are no hosts: %v", places)
				}
			},
		})
	})
}
