package fetch_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
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
