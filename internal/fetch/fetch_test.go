package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/fetch"
	"muster/internal/manifest"
)

// content is the blob of most tests, long enough for several reads.
var content = func() []byte {
	b := make([]byte, 300_000)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

func blobOf(data []byte) manifest.Blob {
	sum := sha256.Sum256(data)
	return manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(sum[:])), Size: int64(len(data))}
}

// good serves the blob as a proper web server does.
func good(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// bad is a source that is asked first; a good one stands behind it.
type bad struct {
	name  string
	serve http.HandlerFunc
	want  string // part of the event that its failure causes
	ends  error  // what becomes of a fetch from it alone; ErrGaveUp if nil
}

func flipped(at int) []byte {
	b := bytes.Clone(content)
	b[at] ^= 1
	return b
}

var badSources = []bad{
	{"one bit is flipped", func(w http.ResponseWriter, _ *http.Request) { w.Write(flipped(123_456)) }, "wrong SHA-256", fetch.ErrCorrupt},
	{"the body is shorter than the manifest says", func(w http.ResponseWriter, _ *http.Request) { w.Write(content[:1000]) }, "manifest says", fetch.ErrCorrupt},
	{"the body is longer than the manifest says", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)+1))
		w.Write(append(bytes.Clone(content), 'x'))
	}, "manifest says", fetch.ErrCorrupt},
	{"one byte too much comes without an announced length", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		w.Write(append(bytes.Clone(content), 'x'))
	}, "more than", fetch.ErrCorrupt},
	{"the body never ends", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	}, "more than", fetch.ErrCorrupt},
	{"the connection breaks in the middle", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:150_000])
		panic(http.ErrAbortHandler)
	}, "broke", nil},
	{"the body ends in the middle without an announced length", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		w.Write(content[:150_000])
	}, "ended after 150000 of 300000", fetch.ErrCorrupt},
	{"nothing comes after the headers", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, "stalled", nil},
	{"not even headers come", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "stalled", nil},
	{"a byte comes now and then", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; r.Context().Err() == nil && i < 1000; i++ {
			w.Write(content[i : i+1])
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}, "stalled", nil},
	{"the blob is missing", http.NotFound, "does not have this blob", fetch.ErrMissing},
	{"the server is overloaded", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		http.Error(w, "later", http.StatusServiceUnavailable)
	}, "503", nil},
	{"the server redirects to another host", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	}, "redirects", nil},
	{"the server redirects to itself", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"?again", http.StatusMovedPermanently)
	}, "redirects", nil},
	{"the body is compressed again", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write([]byte("\x1f\x8b"))
	}, "encodes", nil},
	{"a range comes that nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(content)
	}, "wrong one", nil},
	{"the server refuses a range that nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}, "no byte 0", fetch.ErrCorrupt},
	{"the headers are endless", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
		}
		w.Write(content)
	}, "headers exceeded", nil},
}

func TestTheNextSourceIsTriedWhen(t *testing.T) {
	for _, tt := range badSources {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, g := serve(t, tt.serve), serve(t, good)
			dir := t.TempDir()
			f, events := newFetcher(t, fetch.Options{Sources: []string{b.URL, g.URL}})
			path, err := f.Fetch(t.Context(), blobOf(content), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantBlob(t, path, dir)
			got := events()
			if len(got) != 1 || got[0].Attempt != 1 || got[0].Source != b.URL || got[0].Next != g.URL || !strings.Contains(got[0].Err.Error(), tt.want) {
				t.Errorf("events are %v, want one with %q of the first source", got, tt.want)
			}
			if strings.ContainsAny(got[0].String(), "\x1b\n") {
				t.Errorf("the event %q can harm a terminal", got[0])
			}
		})
	}
}

func TestABadSourceAloneIsGivenUpVisibly(t *testing.T) {
	for _, tt := range badSources {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := serve(t, tt.serve)
			f, events := newFetcher(t, fetch.Options{Sources: []string{b.URL}, GiveUpAfter: time.Second, MissingAfter: time.Millisecond})
			var most int64
			path, err := f.Fetch(t.Context(), blobOf(content), dir, func(done, _ int64) { most = max(most, done) })
			class := fetch.ErrGaveUp
			if tt.ends != nil {
				class = tt.ends
			}
			var e *fetch.Error
			if !errors.Is(err, class) || !errors.As(err, &e) || !strings.Contains(e.Remedy, b.URL) {
				t.Fatalf("got %q, %v; want %q with a remedy that names the source", path, err, class)
			}
			if most > int64(len(content)) {
				t.Errorf("%d bytes were written of a blob of %d", most, len(content))
			}
			if _, err := os.Lstat(filepath.Join(dir, string(blobOf(content).Digest))); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the blob has its final name: %v", err)
			}
			if got := events(); len(got) == 0 || got[len(got)-1].Next != "" {
				t.Errorf("the last of %v does not say that it is the last", got)
			}
		})
	}
}

func TestAFetchFailsWhenEverySourceIsCorrupt(t *testing.T) {
	corrupt := func(w http.ResponseWriter, _ *http.Request) { w.Write(flipped(1)) }
	// mended is corrupt at first.
	mended := func() http.HandlerFunc {
		var asked atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) <= 2 {
				corrupt(w, r)
				return
			}
			good(w, r)
		}
	}
	busy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	tests := []struct {
		name    string
		sources []http.HandlerFunc
		want    error
		tries   int // 0: as many as there was time for
	}{
		{"one corrupt source", []http.HandlerFunc{corrupt}, fetch.ErrCorrupt, 3},
		{"three corrupt sources", []http.HandlerFunc{corrupt, corrupt, corrupt}, fetch.ErrCorrupt, 9},
		{"a source that is mended in time", []http.HandlerFunc{mended()}, nil, 2},
		{"a corrupt source and one that is busy, which may get better", []http.HandlerFunc{corrupt, busy}, fetch.ErrGaveUp, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var urls []string
			for _, s := range tt.sources {
				urls = append(urls, serve(t, s).URL)
			}
			f, events := newFetcher(t, fetch.Options{Sources: urls, GiveUpAfter: time.Second})
			_, err := f.Fetch(t.Context(), blobOf(content), t.TempDir(), nil)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if got := events(); tt.tries > 0 && len(got) != tt.tries || len(got) <= 3 && tt.tries == 0 {
				t.Errorf("there were %d failed tries, want %d (0: more than 3)", len(got), tt.tries)
			}
			if tt.want == fetch.ErrCorrupt && !strings.Contains(err.Error(), string(blobOf(content).Digest)) {
				t.Errorf("%q does not name the blob", err)
			}
		})
	}
}

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

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

// newFetcher returns a Fetcher with short waits and a function that returns its events so far.
func newFetcher(t *testing.T, opt fetch.Options) (*fetch.Fetcher, func() []fetch.Event) {
	t.Helper()
	var mu sync.Mutex
	var events []fetch.Event
	opt.Log = func(e fetch.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}
	if opt.MinWait == 0 {
		opt.MinWait, opt.MaxWait = time.Millisecond, 20*time.Millisecond
	}
	opt.StallAfter = 300 * time.Millisecond
	f, err := fetch.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return f, func() []fetch.Event {
		mu.Lock()
		defer mu.Unlock()
		return append([]fetch.Event(nil), events...)
	}
}

// wantBlob checks the content and that nothing else is in the directory.
func wantBlob(t *testing.T, path, dir string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file has %d bytes (%v), and they are not the blob", len(got), err)
	}
	if want := filepath.Join(dir, string(blobOf(content).Digest)); path != want {
		t.Errorf("the path is %s, want %s", path, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v (%v), want the blob only", entries, err)
	}
}
