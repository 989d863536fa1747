package rpc_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	enrolmentv1 "muster/proto/muster/enrolment/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// Whoever has no certificate makes the coordinator take in no more than an enrolment needs, whatever it calls: a message
// is read whole before anything else is asked.
func TestAStrangerIsNotListenedToForLong(t *testing.T) {
	t.Parallel()
	for name, talk := range map[string]func(s *site, conn *grpc.ClientConn, size int) error{
		"a hello": func(s *site, conn *grpc.ClientConn, size int) error {
			d := begin(s, conn)
			d.csr = make([]byte, size)
			d.say(d.hello())
			return d.ends().Err()
		},
		"a proof": func(s *site, conn *grpc.ClientConn, size int) error {
			d := begin(s, conn).challenged()
			d.say(d.proof(1, strings.Repeat("x", size), d.exporter()))
			return d.ends().Err()
		},
		"a sync": func(_ *site, conn *grpc.ClientConn, size int) error {
			_, err := syncv1.NewSyncServiceClient(conn).Sync(context.Background(), &syncv1.SyncRequest{Following: strings.Repeat("x", size)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for _, c := range []struct {
				size  int
				codes []codes.Code
			}{
				{48 << 10, []codes.Code{codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated}},
				{65 << 10, []codes.Code{codes.Unavailable}},
				{900 << 10, []codes.Code{codes.Unavailable}},
				{5 << 20, []codes.Code{codes.ResourceExhausted, codes.Unavailable}},
			} {
				before, state := s.read.Load(), s.state()
				code := status.Code(talk(s, s.connect(nil), c.size))
				if !slices.Contains(c.codes, code) {
					t.Errorf("%d bytes: %v, want one of %v", c.size, code, c.codes)
				}
				// The handshake, and what TLS had read ahead when the connection was closed.
				if read := s.read.Load() - before; read > 100<<10 {
					t.Errorf("%d bytes were sent and %d of them taken in", c.size, read)
				}
				s.wantState(state)
			}
			s.join("agent", 1)
		})
	}
}

func TestAHostMaySendAMebibyte(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	if _, err := h.sync(&syncv1.SyncRequest{Following: strings.Repeat("x", 1<<20-100)}); err != nil {
		t.Error(err)
	}
	before := h.state()
	_, err := h.sync(&syncv1.SyncRequest{Following: strings.Repeat("x", 1<<20)})
	wantCode(t, err, codes.ResourceExhausted, "larger than max")
	h.wantState(before)
	if _, err := h.sync(&syncv1.SyncRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	h := newSite(t).join("agent", 1)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-long", strings.Repeat("x", 32<<10))
	if _, err := h.Sync(ctx, &syncv1.SyncRequest{}); err == nil {
		t.Error("32 KiB of headers are taken")
	}
	if _, err := h.sync(&syncv1.SyncRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// flood opens silent enrolments, 4 a connection, and answers how to end them.
func flood(s *site, streams int) (end func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var conns []*grpc.ClientConn
	for range (streams + 3) / 4 {
		conn := s.connect(nil)
		conns = append(conns, conn)
		for range 4 {
			stream, err := enrolmentv1.NewEnrolmentServiceClient(conn).Enroll(ctx)
			if err != nil {
				s.Fatal(err)
			}
			go func() { _, _ = stream.Recv() }()
		}
	}
	return func() {
		cancel()
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// Not parallel: it counts goroutines.
func TestAThousandSilentStreamsStopNobodyAndLeaveNothing(t *testing.T) {
	s := newSite(t)
	h := s.join("agent", 1)
	h.says(syncv1.Phase_PHASE_PREFLIGHT)
	token := s.token("agent", 10)
	s.enrol(9, token).conn.Close()
	before := numGoroutines()
	end := flood(s, 1000)
	for range 20 {
		began := time.Now()
		if _, err := h.sync(&syncv1.SyncRequest{}); err != nil || time.Since(began) > time.Second {
			t.Fatalf("a sync after %v: %v", time.Since(began), err)
		}
	}
	// Who wants to join comes in, as soon as those who say nothing have been silent for a second.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		d := begin(t, s.connect(nil))
		d.say(d.hello())
		resp, err := d.stream.Recv()
		if err == nil {
			d.nonce = resp.GetChallenge().GetNonce()
			d.say(d.proof(2, token, d.exporter()))
			if resp, err = d.stream.Recv(); err != nil || resp.GetCredential() == nil {
				t.Fatal(resp, err)
			}
			break
		}
		wantCode(t, err, codes.ResourceExhausted, "try again in a moment")
		if time.Now().After(deadline) {
			t.Fatal("nobody can join")
		}
	}
	end()
	s.closeAll()
	wantNoGoroutines(t, before)
}

func TestASilentStreamIsEnded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 seconds")
	}
	t.Parallel()
	s := newSite(t)
	conn := s.connect(nil)
	began := time.Now()
	var both sync.WaitGroup
	for name, d := range map[string]*dialogue{"before hello": begin(t, conn), "after the challenge": begin(t, conn).challenged()} {
		both.Go(func() {
			err := d.ends().Err()
			wantCode(t, err, codes.DeadlineExceeded, "the enrolment took too long")
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: after %v", name, took)
			}
		})
	}
	both.Wait()
}
