package coordinator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/coordinator"
	"muster/internal/hosts"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

// populate writes n agents that are ready into the store, as if they had joined, and serves them.
func (s *site) populate(n int) []hosts.ID {
	s.Helper()
	ids := make([]hosts.ID, n)
	err := s.store.Update(context.Background(), func(w store.Writer) error {
		for i := range n {
			a := numbered(i)
			ids[i] = hosts.ID(fmt.Sprintf("h-%013d", i))
			raw, err := json.Marshal(hosts.Host{
				ID: ids[i], Facts: hosts.Facts{Name: a.name, Address: a.address}, Role: "agent", Phase: hosts.Ready, Attempt: 1,
				JoinedBy: fmt.Sprintf("%012d", i), Enrolled: start, PhaseSince: start,
				Certificate: hosts.Certificate{Key: fmt.Sprintf("%064d", i), Serial: fmt.Sprintf("%032d", i)},
			})
			if err != nil {
				return err
			}
			if err := w.Put("hosts/"+string(ids[i]), raw); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	if s.core, err = s.serve(); err != nil {
		s.Fatal(err)
	}
	return ids
}

// BenchmarkRelease50000 is the time from the last master's enrolment to the last of 50,000 answers.
func BenchmarkRelease50000(b *testing.B) {
	const n = 50_000
	for range b.N {
		b.StopTimer()
		s := newSite(b)
		ids := s.populate(n)
		s.join("master", 60_000)
		s.join("master", 60_001)
		answers := make(chan *syncv1.SyncResponse, n)
		for i, host := range ids {
			id := coordinator.Caller{Host: host, Serial: fmt.Sprintf("%032d", i)}
			first, err := s.core.Sync(context.Background(), id, &syncv1.SyncRequest{})
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				resp, err := s.core.Sync(context.Background(), id, &syncv1.SyncRequest{Following: first.Directive.Id, Hold: durationpb.New(time.Hour)})
				if err != nil {
					b.Error(err)
				}
				answers <- resp
			}()
		}
		for runtime.NumGoroutine() < n { // those that have not listened yet are answered all the same
			runtime.Gosched()
		}
		b.StartTimer()
		s.join("master", 60_002)
		for range n {
			if resp := <-answers; resp.Directive.GetInstall() == nil {
				b.Fatal("not released")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/host")
}

// BenchmarkDirectory is the memory that one host takes while the coordinator runs.
func BenchmarkDirectory(b *testing.B) {
	const n = 50_000
	for range b.N {
		s := newSite(b)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s.populate(n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/host")
		runtime.KeepAlive(s.core)
	}
}

// BenchmarkList is one page of 500 from 50,000 hosts.
func BenchmarkList(b *testing.B) {
	s := newSite(b)
	ids := s.populate(50_000)
	for b.Loop() {
		if page := s.core.ListHosts(string(ids[25_000]), 500); len(page.Hosts) != 500 {
			b.Fatal(len(page.Hosts))
		}
	}
}
