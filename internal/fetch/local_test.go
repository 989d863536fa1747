package fetch_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/fetch"
	"muster/internal/manifest"
)

func TestRefusedRequests(t *testing.T) {
	for _, tt := range []struct {
		name string
		blob manifest.Blob
	}{
		{"a digest that climbs out of the directory", manifest.Blob{Digest: "../../../../../../etc/cron.d/x", Size: 1}},
		{"an empty digest", manifest.Blob{Size: 1}},
		{"a digest in upper case", manifest.Blob{Digest: manifest.Digest(strings.Repeat("A", 64)), Size: 1}},
		{"a negative size", manifest.Blob{Digest: blobOf(content).Digest, Size: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			f, _ := newFetcher(t, fetch.Options{Sources: []string{"http://127.0.0.1:1"}})
			_, err := f.Fetch(t.Context(), tt.blob, dir, nil)
			if !errors.Is(err, fetch.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("the directory holds %v", entries)
			}
		})
	}
	for _, base := range []string{"", "host:8080", "ftp://host/", "http://", "http://user:secret@host/", "http://host/?x", "file:///etc"} {
		if _, err := fetch.New(fetch.Options{Sources: []string{base}}); !errors.Is(err, fetch.ErrInvalid) {
			t.Errorf("source %q: got %v, want ErrInvalid", base, err)
		}
	}
	if _, err := fetch.New(fetch.Options{}); !errors.Is(err, fetch.ErrInvalid) {
		t.Errorf("no source: got %v, want ErrInvalid", err)
	}
}

func TestADirectoryIsASourceWhereItIsAllowed(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := filepath.Join(from, fetch.Path(blobOf(content).Digest))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	// What is here already is not read again.
	if err := os.WriteFile(filepath.Join(to, string(blobOf(content).Digest)+".part"), content[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := newFetcher(t, fetch.Options{Sources: []string{"file://" + from}, Directories: true})
	path, err := f.Fetch(t.Context(), blobOf(content), to, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, path, to)
	for _, base := range []string{"file://host/etc", "file:relative", "file:///etc?x"} {
		if _, err := fetch.New(fetch.Options{Sources: []string{base}, Directories: true}); !errors.Is(err, fetch.ErrInvalid) {
			t.Errorf("source %q: got %v, want ErrInvalid", base, err)
		}
	}
}

func TestPath(t *testing.T) {
	d := blobOf(content).Digest
	if got, want := fetch.Path(d), "blobs/"+string(d[:2])+"/"+string(d); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fetch.Path("../x"); got != "" {
		t.Errorf("got %q for what is no digest", got)
	}
}

func TestTheHostsOwnFailuresAreNotRetried(t *testing.T) {
	blob := blobOf(content)
	huge := blob
	huge.Size = 1 << 60
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	planted := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Symlink(victim, filepath.Join(planted, string(blob.Digest)+".part")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		dir  string
		blob manifest.Blob
		want error
	}{
		{"a blob that cannot fit is not begun", t.TempDir(), huge, fetch.ErrNoSpace},
		{"a missing directory", filepath.Join(t.TempDir(), "no"), blob, fetch.ErrLocal},
		{"a file instead of a directory", file, blob, fetch.ErrLocal},
		{"a link planted in the place of the part", planted, blob, fetch.ErrLocal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the source was asked") })
			f, _ := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
			_, err := f.Fetch(t.Context(), tt.blob, tt.dir, nil)
			var e *fetch.Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || !strings.Contains(e.Remedy, tt.dir) {
				t.Errorf("got %v, want %v with a remedy that names the directory", err, tt.want)
			}
		})
	}
	if _, err := os.Lstat(victim); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the planted link was followed")
	}
}

func TestADiskThatFillsUpEndsTheFetch(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: a full disk needs a mount, which needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		// The room is there when the fetch begins and gone when the bytes come.
		if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 400<<10), 0o600); err != nil {
			t.Error(err)
		}
		good(w, r)
	})
	f, events := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
	_, err := f.Fetch(t.Context(), blobOf(content), dir, nil)
	if !errors.Is(err, fetch.ErrNoSpace) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	if len(events()) != 1 {
		t.Errorf("events are %v, want one", events())
	}
}

const childURL, childDir = "MUSTER_TEST_FETCH_URL", "MUSTER_TEST_FETCH_DIR"

// TestMain turns the test binary into the fetching process that TestAKilledProcess... kills.
func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		f, err := fetch.New(fetch.Options{Sources: []string{url}})
		if err == nil {
			_, err = f.Fetch(context.Background(), blobOf(content), os.Getenv(childDir), nil)
		}
		panic(err)
	}
	os.Exit(m.Run())
}

func TestAKilledProcessIsContinuedByTheNext(t *testing.T) {
	dir := t.TempDir()
	blob := blobOf(content)
	part := filepath.Join(dir, string(blob.Digest)+".part")
	var ranges []string
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		if len(ranges) > 1 {
			good(w, r)
			return
		}
		w.Write(content[:200_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+srv.URL, childDir+"="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(part); err == nil && info.Size() == 200_000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the child has not fetched the first part")
		}
	}
	cmd.Process.Kill()
	cmd.Wait()

	f, _ := newFetcher(t, fetch.Options{Sources: []string{srv.URL}})
	path, err := f.Fetch(t.Context(), blob, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, path, dir)
	if len(ranges) != 2 || ranges[1] != "bytes=200000-" {
		t.Errorf("the requests asked for %q, want the rest only", ranges)
	}
}
