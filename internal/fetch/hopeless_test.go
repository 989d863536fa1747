package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/fetch"
)

// serving is what a web server makes of another file under the blob's name: lengths and ranges are consistent.
func serving(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// streaming sends the same without saying its length.
func streaming(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		w.Write(data)
	}
}

// refusing answers with nothing but a status.
func refusing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// breaking announces the right length and breaks off after n bytes.
func breaking(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// after is one source at its first n requests and another from then on.
func after(n int32, first, then http.HandlerFunc) http.HandlerFunc {
	var asked atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= n {
			first(w, r)
			return
		}
		then(w, r)
	}
}

var (
	truncated = content[:100_000]
	long      = append(bytes.Clone(content), 'x')
)

func TestWhatASourceHasOnDiskEndsAFetchAndWhatALineDoesDoesNot(t *testing.T) {
	missing := refusing(http.StatusNotFound)
	for _, tt := range []struct {
		name    string
		part    []byte
		sources []http.HandlerFunc
		want    error
		tries   int // failed ones; 0: as many as it took
		words   []string
	}{
		{"a truncated file", nil, []http.HandlerFunc{serving(truncated)}, fetch.ErrCorrupt, 3, []string{"truncated (100000 bytes instead of 300000)"}},
		{"an empty file", nil, []http.HandlerFunc{serving(nil)}, fetch.ErrCorrupt, 3, []string{"truncated (0 bytes instead of 300000)"}},
		{"a file that was truncated under a host that has more of it", content[:150_000], []http.HandlerFunc{serving(truncated)},
			fetch.ErrCorrupt, 3, []string{"truncated"}},
		{"a file that was truncated under a host that has less of it", content[:50_000], []http.HandlerFunc{serving(truncated)},
			fetch.ErrCorrupt, 3, []string{"truncated (100000 bytes instead of 300000)"}},
		{"a file one byte too long", nil, []http.HandlerFunc{serving(long)}, fetch.ErrCorrupt, 3, []string{"too long (300001 bytes instead of 300000)"}},
		{"a file one byte too long when it is resumed", content[:50_000], []http.HandlerFunc{serving(long)}, fetch.ErrCorrupt, 3, []string{"too long"}},
		{"a stream that is too long", nil, []http.HandlerFunc{streaming(long)}, fetch.ErrCorrupt, 3, []string{"too long (more than 300000 bytes)"}},
		{"a stream that says that it is complete and is too short", nil, []http.HandlerFunc{streaming(truncated)}, fetch.ErrCorrupt, 4,
			[]string{"truncated (no byte 100000 of 300000)"}},
		{"another file of the same size", nil, []http.HandlerFunc{serving(flipped(7))}, fetch.ErrCorrupt, 3, []string{"SHA-256"}},
		{"no file", nil, []http.HandlerFunc{missing}, fetch.ErrMissing, 0, []string{"missing from its sources", "does not have it"}},
		{"a file that is gone", nil, []http.HandlerFunc{refusing(http.StatusGone)}, fetch.ErrMissing, 0, []string{"does not have it"}},
		{"a file that was deleted under a host that has some of it", content[:50_000], []http.HandlerFunc{missing}, fetch.ErrMissing, 0, []string{"does not have it"}},
		{"each source has another fault", nil, []http.HandlerFunc{serving(truncated), serving(long), missing}, fetch.ErrCorrupt, 0,
			[]string{"truncated", "too long", "does not have it"}},

		{"a mirror that fills up in time", nil, []http.HandlerFunc{after(9, missing, good)}, nil, 9, nil},
		{"a truncated file that is replaced in time", nil, []http.HandlerFunc{after(2, serving(truncated), good)}, nil, 2, nil},
		{"one good source among bad ones, asked last", nil, []http.HandlerFunc{serving(truncated), serving(long), missing, streaming(truncated), good}, nil, 4, nil},
		{"a good source that breaks off, beside a truncated file", nil, []http.HandlerFunc{serving(truncated), after(3, breaking(90_000), good)}, nil, 0, nil},
		{"a good source that is busy for long, beside a truncated file", nil, []http.HandlerFunc{serving(truncated), after(12, refusing(503), good)}, nil, 0, nil},
		{"a good source that is busy for long, beside one that has no file", nil, []http.HandlerFunc{missing, after(12, refusing(429), good)}, nil, 0, nil},

		{"a line that breaks at the same byte each time", nil, []http.HandlerFunc{breaking(100_000)}, fetch.ErrGaveUp, 0, nil},
		{"a line that breaks at once", nil, []http.HandlerFunc{breaking(0)}, fetch.ErrGaveUp, 0, nil},
		{"a busy source", nil, []http.HandlerFunc{refusing(503)}, fetch.ErrGaveUp, 0, nil},
		{"a source that is asked too much", nil, []http.HandlerFunc{refusing(429)}, fetch.ErrGaveUp, 0, nil},
		{"a broken server", nil, []http.HandlerFunc{refusing(500)}, fetch.ErrGaveUp, 0, nil},
		{"no file on one source, and the other is busy", nil, []http.HandlerFunc{missing, refusing(503)}, fetch.ErrGaveUp, 0, nil},
		{"a truncated file on one source, and the other cannot be reached", nil, []http.HandlerFunc{serving(truncated), nil}, fetch.ErrGaveUp, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, blob := t.TempDir(), blobOf(content)
			if tt.part != nil {
				if err := os.WriteFile(filepath.Join(dir, string(blob.Digest)+".part"), tt.part, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var urls []string
			for _, s := range tt.sources {
				urls = append(urls, sourceOf(t, s))
			}
			f, events := newFetcher(t, fetch.Options{Sources: urls, GiveUpAfter: 1500 * time.Millisecond, MissingAfter: time.Millisecond})
			path, err := f.Fetch(t.Context(), blob, dir, nil)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			got := events()
			if tt.tries > 0 && len(got) != tt.tries {
				t.Errorf("there were %d failed tries, want %d: %v", len(got), tt.tries, got)
			}
			if tt.want == nil {
				wantBlob(t, path, dir)
				return
			}
			if tt.want == fetch.ErrGaveUp {
				if len(got) <= 10 {
					t.Errorf("there were %d tries, as if they had been counted", len(got))
				}
				return
			}
			var e *fetch.Error
			if !errors.As(err, &e) || !strings.Contains(e.What, string(blob.Digest)) {
				t.Fatalf("%q does not name the blob", err)
			}
			for _, u := range urls {
				if !strings.Contains(e.What, u) || !strings.Contains(e.Remedy, u) {
					t.Errorf("%s is not named in %q or in %q", u, e.What, e.Remedy)
				}
			}
			for _, word := range tt.words {
				if !strings.Contains(e.What, word) {
					t.Errorf("%q does not speak of %q", e.What, word)
				}
			}
			for _, word := range []string{fetch.Path(blob.Digest), "genconf", "restart", "mirror"} {
				if !strings.Contains(e.Remedy, word) {
					t.Errorf("the remedy %q does not speak of %q", e.Remedy, word)
				}
			}
		})
	}
}

// sourceOf serves with h; nil is a source that nobody listens at.
func sourceOf(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	if h != nil {
		return serve(t, h).URL
	}
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	return dead.URL
}

// A mirror that is filling has a while, however often a host asks meanwhile.
func TestAMissingBlobHasTimeToAppear(t *testing.T) {
	const patience = 400 * time.Millisecond
	began := time.Now()
	srv := serve(t, http.NotFound)
	f, events := newFetcher(t, fetch.Options{Sources: []string{srv.URL}, MissingAfter: patience})
	_, err := f.Fetch(t.Context(), blobOf(content), t.TempDir(), nil)
	if !errors.Is(err, fetch.ErrMissing) {
		t.Fatalf("got %v, want ErrMissing", err)
	}
	if took := time.Since(began); took < patience || len(events()) <= 10 {
		t.Errorf("it failed after %v and %d tries, want %v and more than 10", took, len(events()), patience)
	}
}

// A directory that a host was handed is a source like others.
func TestADirectoryWithADamagedBlobEndsTheFetch(t *testing.T) {
	for _, tt := range []struct {
		name string
		have []byte
		want error
		word string
	}{
		{"truncated", content[:1000], fetch.ErrCorrupt, "truncated (1000 bytes instead of 300000)"},
		{"empty", []byte{}, fetch.ErrCorrupt, "truncated (0 bytes instead of 300000)"},
		{"too long", long, fetch.ErrCorrupt, "too long (300001 bytes instead of 300000)"},
		{"missing", nil, fetch.ErrMissing, "does not have it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from := t.TempDir()
			file := filepath.Join(from, fetch.Path(blobOf(content).Digest))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.have != nil {
				if err := os.WriteFile(file, tt.have, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			f, _ := newFetcher(t, fetch.Options{Sources: []string{"file://" + from}, Directories: true, MissingAfter: time.Millisecond, GiveUpAfter: 5 * time.Second})
			_, err := f.Fetch(t.Context(), blobOf(content), t.TempDir(), nil)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.word) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.word)
			}
		})
	}
}
