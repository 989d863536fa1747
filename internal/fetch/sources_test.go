package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/fetch"
)

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
