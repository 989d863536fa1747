package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/store"
	"muster/internal/store/storetest"
)

func openIn(place string) (store.Store, error) {
	return store.OpenBolt(filepath.Join(place, "store.db"))
}

func TestBolt(t *testing.T) { storetest.Run(t, openIn) }

func TestASecondCoordinatorIsToldThatTheStoreIsHeld(t *testing.T) {
	place := t.TempDir()
	first, err := openIn(place)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	second, err := openIn(place)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), place) {
		t.Errorf("got %v", err)
	}
	if second != nil {
		t.Error("it got a store all the same")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it waited %v", took)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := openIn(place)
	if err != nil {
		t.Fatalf("after the first has let go: %v", err)
	}
	third.Close()
}

func TestOnlyTheOwnerMayReadTheFile(t *testing.T) {
	place := t.TempDir()
	path := filepath.Join(place, "store.db")
	// A file that an older version or a careless restore left readable is closed.
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := openIn(place)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestWhatIsNoStoreIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error
	}{
		{"a file of something else", func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("text", 10_000)), 0o600) }},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := t.TempDir()
			path := filepath.Join(place, "store.db")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			if _, err := openIn(place); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNothingIsAcknowledgedBeforeItIsOnDisk watches the system calls of a writing child: between the last write to the
// file and an acknowledgement there must be a sync. A kill cannot show this: what a dead process wrote is in the page
// cache, and only a power failure takes it from there.
func TestNothingIsAcknowledgedBeforeItIsOnDisk(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace on this machine")
	}
	// One writer: with more, the next commit begins while the last one is being acknowledged.
	child := storetest.Child("TestBolt", t.TempDir(), 1)
	child.Args = append([]string{strace, "-f", "-e", "trace=pwrite64,fdatasync,fsync,msync,write", "-e", "signal=none", "--"}, child.Args...)
	child.Path = strace
	child.Stderr = nil
	trace, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	const enough = 60
	dirty, syncs, acknowledged := "", 0, 0
	var seen []string
	for lines := bufio.NewScanner(trace); acknowledged < enough && lines.Scan(); {
		line := lines.Text()
		seen = append(seen, line)
		switch {
		case strings.Contains(line, "pwrite64("):
			dirty = line
		case strings.Contains(line, "fdatasync(") || strings.Contains(line, "fsync("):
			// Bolt has one writer: what was written is synced by the next sync, begun after it.
			dirty = ""
			syncs++
		case strings.Contains(line, `write(1, "ack `):
			acknowledged++
			if dirty != "" {
				t.Fatalf("acknowledged while %s is not synced:\n%s", dirty, strings.Join(seen[max(0, len(seen)-20):], "\n"))
			}
			if syncs == 0 {
				t.Fatal("acknowledged before anything was synced")
			}
		}
	}
	if acknowledged == 0 && len(seen) < 5 {
		t.Skipf("strace may not trace here: %s", strings.Join(seen, "; "))
	}
	if acknowledged < enough {
		t.Fatalf("%d of %d acknowledgements seen; the trace ends with\n%s", acknowledged, enough, strings.Join(seen[max(0, len(seen)-20):], "\n"))
	}
}

// BenchmarkUpdate shows what sharing commits is worth: alone, each update pays its own sync.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 256} {
		b.Run(fmt.Sprintf("goroutines=%d", callers), func(b *testing.B) {
			s, err := openIn(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ctx := context.Background()
			value := []byte(strings.Repeat("v", 600)) // about a host's record
			var calls atomic.Int64
			failed := make(chan error, callers)
			done := make(chan struct{})
			b.ResetTimer()
			for range callers {
				go func() {
					defer func() { done <- struct{}{} }()
					for i := calls.Add(1); i <= int64(b.N); i = calls.Add(1) {
						if err := s.Update(ctx, func(w store.Writer) error {
							return w.Put(fmt.Sprintf("hosts/%05d", i*7919%50_000), value)
						}); err != nil {
							failed <- err
							return
						}
					}
				}()
			}
			for range callers {
				<-done
			}
			b.StopTimer()
			if len(failed) > 0 {
				b.Fatal(<-failed)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		})
	}
}
