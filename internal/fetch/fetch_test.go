package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/fetch"
)

func TestResume(t *testing.T) {
	half := content[:150_000]
	noRange := func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }
	tests := []struct {
		name      string
		part      []byte
		serve     http.HandlerFunc
		wantRange string // of the first request
		wantTries int    // failed ones
	}{
		{"a part is completed by a range", half, good, "bytes=150000-", 0},
		{"a server that ignores the range sends everything", half, noRange, "bytes=150000-", 0},
		{"a complete part needs no request", content, nil, "", 0},
		{"a complete but wrong part is fetched anew", flipped(5), good, "", 0},
		{"a part that is too long is fetched anew", append(bytes.Clone(content), 'x'), good, "", 0},
		{"a part with a wrong byte is fetched anew after the digest shows it", flipped(5)[:150_000], good, "bytes=150000-", 1},
		{"an empty part is the same as none", []byte{}, good, "", 0},
		{"a wrong range is answered by asking for everything", half, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(content)-1, len(content)))
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(content)
		}, "bytes=150000-", 1},
		{"a range with another total is answered by asking for everything", half, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", "bytes 150000-150099/150100")
				w.WriteHeader(http.StatusPartialContent)
				w.Write(content[150_000:150_100])
				return
			}
			w.Write(content)
		}, "bytes=150000-", 1},
		{"a shorter range than wanted is continued", half, func(w http.ResponseWriter, r *http.Request) {
			var from int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			to := min(from+100_000, len(content))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to-1))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[from:to])
		}, "bytes=150000-", 1},
		{"a refused range is answered by asking for everything", half, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			w.Write(content)
		}, "bytes=150000-", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			blob := blobOf(content)
			if err := os.WriteFile(filepath.Join(dir, string(blob.Digest)+".part"), tt.part, 0o600); err != nil {
				t.Fatal(err)
			}
			var ranges []string
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				ranges = append(ranges, r.Header.Get("Range"))
				tt.serve(w, r)
			})
			f, events := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
			path, err := f.Fetch(t.Context(), blob, dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantBlob(t, path, dir)
			if tt.serve == nil {
				if len(ranges) != 0 {
					t.Errorf("%d requests were made, want none", len(ranges))
				}
			} else if ranges[0] != tt.wantRange {
				t.Errorf("the first request asked for %q, want %q", ranges[0], tt.wantRange)
			}
			if got := events(); len(got) != tt.wantTries {
				t.Errorf("failed tries are %v, want %d", got, tt.wantTries)
			}
		})
	}
}

func TestABrokenConnectionIsResumedUntilTheBlobIsComplete(t *testing.T) {
	var mu sync.Mutex
	sent := 0
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}
		piece := content[from:min(from+70_000, len(content))]
		mu.Lock()
		sent += len(piece)
		mu.Unlock()
		w.Write(piece)
		if from+len(piece) < len(content) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	dir := t.TempDir()
	f, _ := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
	path, err := f.Fetch(t.Context(), blobOf(content), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, path, dir)
	mu.Lock()
	defer mu.Unlock()
	if sent > len(content)+200_000 {
		t.Errorf("%d bytes were sent for a blob of %d", sent, len(content))
	}
}

func TestAHostileSourceCannotSpoilWhatAnHonestOneSends(t *testing.T) {
	// It sends a wrong beginning and breaks off each time, so that the honest one is always asked to continue.
	hostile := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(flipped(0)[:100_000])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	honest := serve(t, good)
	dir := t.TempDir()
	f, events := newFetcher(t, fetch.Options{Sources: []string{hostile.URL, honest.URL}, GiveUpAfter: 5 * time.Second})
	path, err := f.Fetch(t.Context(), blobOf(content), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, path, dir)
	if got := events(); len(got) > 3 {
		t.Errorf("it took these failures: %v", got)
	}
}

func TestWhatIsThereAlready(t *testing.T) {
	tests := []struct {
		name string
		have []byte
		asks bool
	}{
		{"a complete blob is used without a request", content, false},
		{"a damaged blob is fetched again", flipped(9), true},
		{"a short blob is fetched again", content[:9], true},
		{"a blob that has grown is fetched again", append(bytes.Clone(content), 0), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			blob := blobOf(content)
			if err := os.WriteFile(filepath.Join(dir, string(blob.Digest)), tt.have, 0o600); err != nil {
				t.Fatal(err)
			}
			asked := false
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) { asked = true; good(w, r) })
			f, _ := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
			var done int64
			path, err := f.Fetch(t.Context(), blob, dir, func(d, _ int64) { done = d })
			if err != nil {
				t.Fatal(err)
			}
			wantBlob(t, path, dir)
			if asked != tt.asks || done != blob.Size {
				t.Errorf("asked: %v, want %v; progress ends with %d of %d", asked, tt.asks, done, blob.Size)
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	var times []time.Time
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if times = append(times, time.Now()); len(times) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		good(w, r)
	})
	f, events := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
	if _, err := f.Fetch(t.Context(), blobOf(content), t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	if len(times) != 2 || times[1].Sub(times[0]) < time.Second {
		t.Errorf("requests at %v, want the second a second after the first", times)
	}
	if got := events(); len(got) != 1 || got[0].Wait < time.Second {
		t.Errorf("events are %v, want one with a wait of a second", got)
	}
}

func TestASourceThatFailedStandsBehindTheOthersForTheNextBlob(t *testing.T) {
	asked := 0
	dead := serve(t, func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(http.StatusBadGateway) })
	alive := serve(t, good)
	f, _ := newFetcher(t, fetch.Options{Sources: []string{dead.URL, alive.URL}})
	for range 3 {
		if _, err := f.Fetch(t.Context(), blobOf(content), t.TempDir(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("the dead source was asked %d times, want once", asked)
	}
}

func TestConcurrentFetchesOfOneBlobShareTheWork(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked++
		mu.Unlock()
		good(w, r)
	})
	dir := t.TempDir()
	f, _ := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := f.Fetch(t.Context(), blobOf(content), dir, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if asked != 1 {
		t.Errorf("the source was asked %d times, want once", asked)
	}
}

func TestTheEndOfTheContextIsNoted(t *testing.T) {
	srv := serve(t, http.NotFound)
	f, _ := newFetcher(t, fetch.Options{Sources: []string{srv.URL}, MinWait: time.Hour, MaxWait: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := f.Fetch(ctx, blobOf(content), t.TempDir(), nil)
	if !errors.Is(err, fetch.ErrStopped) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not have this blob") {
		t.Errorf("got %v, want ErrStopped with the last failure", err)
	}
}

func TestSeveralBlobsOfAnySize(t *testing.T) {
	for _, size := range []int{0, 1, 65535, 65536, 65537} {
		data := content[:size]
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
		f, events := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
		path, err := f.Fetch(t.Context(), blobOf(data), t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) || len(events()) != 0 {
			t.Errorf("size %d: got %d bytes, %v, %v", size, len(got), err, events())
		}
	}
}
