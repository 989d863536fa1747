package rpc_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	syncv1 "muster/proto/muster/sync/v1"
)

// BenchmarkEnrol is everything from the first packet to the certificate: TCP, TLS, hello, challenge, proof, one disk
// write. Both ends are on this machine.
func BenchmarkEnrol(b *testing.B) {
	s := newSite(b)
	token := s.token("agent", 1<<30)
	var n atomic.Int64
	b.SetParallelism(64) // most of the time goes by waiting for the disk
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			conn := s.connect(nil)
			d := begin(b, conn).challenged()
			d.say(d.proof(int(n.Add(1)), token, d.exporter()))
			if resp, err := d.stream.Recv(); err != nil || resp.GetCredential() == nil {
				b.Error(resp, err)
			}
			_ = conn.Close()
		}
	})
}

// BenchmarkSync is a call on a living connection.
func BenchmarkSync(b *testing.B) {
	s := newSite(b)
	h := s.join("agent", 1)
	observed := &syncv1.Observed{Phase: syncv1.Phase_PHASE_PREFLIGHT, Attempt: 1}
	b.Run("no news", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Sync(context.Background(), &syncv1.SyncRequest{Observed: observed}); err != nil {
				b.Fatal(err)
			}
		}
	})
	var sequence uint64
	b.Run("one report", func(b *testing.B) {
		for b.Loop() {
			sequence++
			if _, err := h.Sync(context.Background(), &syncv1.SyncRequest{Observed: observed, Reports: []*syncv1.Report{step(sequence)}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	type reporter struct {
		*host
		sequence uint64
	}
	idle := make(chan *reporter, 64)
	token := s.token("agent", int32(cap(idle)))
	for n := range cap(idle) {
		idle <- &reporter{host: s.enrol(100+n, token)}
	}
	b.Run("one report each of 64 hosts", func(b *testing.B) {
		b.SetParallelism(cap(idle) / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			r := <-idle
			defer func() { idle <- r }()
			for pb.Next() {
				r.sequence++
				if _, err := r.Sync(context.Background(), &syncv1.SyncRequest{Observed: observed, Reports: []*syncv1.Report{step(r.sequence)}}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func step(sequence uint64) *syncv1.Report {
	return &syncv1.Report{Sequence: sequence, Attempt: 1, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{
		Phase: syncv1.Phase_PHASE_PREFLIGHT, Name: "disk", Ok: true, Message: "12 GiB are free",
	}}}
}
