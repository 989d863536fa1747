package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/manifest"
	"muster/internal/web"
)

const immutable = "public, max-age=31536000, immutable"

// served is a directory that is served, inside a parent with a secret that must never leave.
type served struct {
	dir, secret string
	blob        []byte
	digest      manifest.Digest
	handler     http.Handler
}

func newServed(t testing.TB, size int) served {
	t.Helper()
	parent := t.TempDir()
	s := served{dir: filepath.Join(parent, "artifacts"), secret: "the CA's key " + strings.Repeat("!", 51)}
	s.blob = make([]byte, size)
	for i := range s.blob {
		s.blob[i] = byte(i>>8) ^ byte(i*31)
	}
	sum := sha256.Sum256(s.blob)
	s.digest = manifest.Digest(hex.EncodeToString(sum[:]))
	s.write(t, "artifacts/"+manifest.BlobPath(s.digest), string(s.blob))
	s.write(t, "artifacts/install.sh", "#!/bin/sh\necho install\n")
	s.write(t, "artifacts/generation.json", s.secret)
	s.write(t, "artifacts/blobs/index", s.secret)
	s.write(t, "secret", s.secret)
	// A secret whose name is a valid digest, one level above the blobs and one level above all that is served.
	s.write(t, strings.Repeat("ab", 32), s.secret)
	s.write(t, "artifacts/"+strings.Repeat("ab", 32), s.secret)
	s.write(t, "ab/"+strings.Repeat("ab", 32), s.secret)
	s.handler = web.Artifacts(s.dir)
	return s
}

func (s served) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(s.dir), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s served) path() string { return "/" + manifest.BlobPath(s.digest) }

// ask calls the handler with the path as it is, without the cleaning of a client, and pairs of a header and its value.
func (s served) ask(method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	u, err := url.ParseRequestURI(path)
	if err != nil {
		panic(err)
	}
	r.URL, r.RequestURI = u, path
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, resp *http.Response) []byte {
	t.Helper()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestABlobIsServedWhole(t *testing.T) {
	s := newServed(t, 100_000)
	resp := s.ask("GET", s.path())
	if resp.StatusCode != 200 || !bytes.Equal(body(t, resp), s.blob) {
		t.Fatalf("got %s and %d bytes", resp.Status, resp.ContentLength)
	}
	for header, want := range map[string]string{
		"Cache-Control":          immutable,
		"Etag":                   `"` + string(s.digest) + `"`,
		"Content-Type":           "application/octet-stream",
		"Content-Length":         "100000",
		"Accept-Ranges":          "bytes",
		"X-Content-Type-Options": "nosniff",
		"Last-Modified":          "", // the file's time is that of an import, and differs between mirrors
	} {
		if got := resp.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

func TestHeadTellsTheSizeAndSendsNothing(t *testing.T) {
	s := newServed(t, 100_000)
	for _, path := range []string{s.path(), "/install.sh"} {
		head, whole := s.ask("HEAD", path), s.ask("GET", path)
		if head.StatusCode != 200 || len(body(t, head)) != 0 {
			t.Errorf("%s: %s with a body", path, head.Status)
		}
		whole.Header.Del("Date")
		if got, want := fmt.Sprint(head.Header), fmt.Sprint(whole.Header); got != want {
			t.Errorf("%s: HEAD says %s\nGET says %s", path, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	s := newServed(t, 100_000)
	etag := `"` + string(s.digest) + `"`
	for _, c := range []struct {
		name     string
		header   []string
		status   int
		from, to int
		says     string
	}{
		{"the rest of an interrupted download", []string{"Range", "bytes=40000-"}, 206, 40_000, 100_000, "bytes 40000-99999/100000"},
		{"a piece from the middle", []string{"Range", "bytes=10-19"}, 206, 10, 20, "bytes 10-19/100000"},
		{"the end", []string{"Range", "bytes=-5"}, 206, 99_995, 100_000, "bytes 99995-99999/100000"},
		{"more than there is ends where the blob ends", []string{"Range", "bytes=99990-200000"}, 206, 99_990, 100_000, "bytes 99990-99999/100000"},
		{"nothing is left", []string{"Range", "bytes=100000-"}, 416, 0, 0, "bytes */100000"},
		{"the rest, if it is still the same blob", []string{"Range", "bytes=40000-", "If-Range", etag}, 206, 40_000, 100_000, "bytes 40000-99999/100000"},
		{"the whole, if it was another blob", []string{"Range", "bytes=40000-", "If-Range", `"other"`}, 200, 0, 100_000, ""},
		{"the whole, if several are asked for", []string{"Range", "bytes=0-0,2-2,4-4"}, 200, 0, 100_000, ""},
		{"a unit that nobody knows", []string{"Range", "lines=1-2"}, 416, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := s.ask("GET", s.path(), c.header...)
			if resp.StatusCode != c.status || resp.Header.Get("Content-Range") != c.says {
				t.Fatalf("got %s, Content-Range %q", resp.Status, resp.Header.Get("Content-Range"))
			}
			if c.status < 300 && !bytes.Equal(body(t, resp), s.blob[c.from:c.to]) {
				t.Error("the bytes are others")
			}
			if c.status == 416 && resp.Header.Get("Cache-Control") == immutable {
				t.Error("a refusal may be kept for ever")
			}
		})
	}
}

func TestWhoHasTheBlobIsToldSo(t *testing.T) {
	s := newServed(t, 1000)
	etag := `"` + string(s.digest) + `"`
	for _, value := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		resp := s.ask("GET", s.path(), "If-None-Match", value)
		if resp.StatusCode != 304 || len(body(t, resp)) != 0 || resp.Header.Get("Etag") != etag || resp.Header.Get("Cache-Control") != immutable {
			t.Errorf("%s: %s, %v", value, resp.Status, resp.Header)
		}
	}
	if resp := s.ask("GET", s.path(), "If-None-Match", `"other"`); resp.StatusCode != 200 {
		t.Errorf("another blob: %s", resp.Status)
	}
}

func TestInstallScriptIsNeverServedFromAStaleCache(t *testing.T) {
	s := newServed(t, 10)
	resp := s.ask("GET", "/install.sh")
	if resp.StatusCode != 200 || string(body(t, resp)) != "#!/bin/sh\necho install\n" ||
		resp.Header.Get("Cache-Control") != "no-cache" || resp.Header.Get("Content-Type") != "text/x-shellscript" {
		t.Errorf("got %s, %v", resp.Status, resp.Header)
	}
	s.write(t, "artifacts/install.sh", "#!/bin/sh\necho newer\n")
	if got := string(body(t, s.ask("GET", "/install.sh"))); !strings.Contains(got, "newer") {
		t.Errorf("after it changed: %q", got)
	}
}

func TestHealthz(t *testing.T) {
	s := newServed(t, 10)
	if resp := s.ask("GET", "/healthz"); resp.StatusCode != 200 || string(body(t, resp)) != "ok\n" {
		t.Errorf("got %s", resp.Status)
	}
}

// Whatever the path is, there is no answer but 404 or a redirect to the same path cleaned, which is 404 as well; and no
// answer has a byte of what is not served.
func TestNothingElseIsServed(t *testing.T) {
	s := newServed(t, 1000)
	d := string(s.digest)
	ab := strings.Repeat("ab", 32)
	absent := strings.Repeat("cd", 32)
	for _, path := range []string{
		"/", "/blobs", "/blobs/", "/blobs/" + d[:2], "/blobs/" + d[:2] + "/", "/blobs/index", "/generation.json", "/secret", "/install.sh/", "/install.sh/x",
		"/blobs/cd/" + absent,                  // a digest that is not there
		"/blobs/" + d[:2] + "/" + d[:63] + "g", // no digest
		"/blobs/" + d[:2] + "/" + d + "0",
		"/blobs/" + d[:2] + "/" + d[:63],
		"/blobs/" + d[:2] + "/" + strings.ToUpper(d), // upper case is another name
		"/blobs/" + strings.ToUpper(d[:2]) + "/" + strings.ToUpper(d),
		"/blobs/" + d[:2] + "/" + d + "/",
		"/blobs/" + d[:2] + "/" + d + "%00",
		"/blobs/" + d[:1] + "/" + d, // a shard that is short, long, wrong or none
		"/blobs/" + d[:3] + "/" + d,
		"/blobs/" + d[2:4] + "/" + d,
		"/blobs//" + d,
		"/blobs/" + d,
		"//blobs/../secret",
		"/../secret", "/blobs/../../secret", "/blobs/../generation.json", "/blobs/" + d[:2] + "/../index",
		"/blobs/" + d[:2] + "/../../../secret",
		"/blobs/%2e%2e/" + ab, "/blobs/..%2f/" + ab, "/blobs/../" + ab, "/blobs/%2e%2e/%2e%2e%2f" + ab, "/blobs/../../" + ab,
		"/blobs/ab/..%2f..%2f" + ab, "/blobs/ab/%2e%2e%2f%2e%2e%2f%2e%2e%2fab%2f" + ab, "/blobs/..%2f..%2fab/" + ab,
		"/blobs/ab/..%5c..%5c" + ab,
		"/%2e%2e/secret", "/..%2fsecret", "/blobs/%2e%2e/%2e%2e%2fsecret", "/blobs/ab/%2Fetc%2Fpasswd", "/blobs/%2F/etc%2Fpasswd",
	} {
		resp := s.ask("GET", path)
		if resp.StatusCode == 301 || resp.StatusCode == 307 || resp.StatusCode == 308 {
			resp = s.ask("GET", resp.Header.Get("Location"))
		}
		got := body(t, resp)
		if resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if bytes.Contains(got, []byte("CA's key")) || bytes.Contains(got, s.blob) || bytes.Contains(got, []byte("root:")) {
			t.Errorf("%s serves what is not to be served", path)
		}
		if cache := resp.Header.Get("Cache-Control"); strings.Contains(cache, "max-age") || resp.Header.Get("Etag") != "" {
			t.Errorf("%s: the refusal may be kept: %q, ETag %q", path, cache, resp.Header.Get("Etag"))
		}
	}
}

// A blob that is not there now may come with the next generation.
func TestAMissingBlobIsNotRememberedAsMissing(t *testing.T) {
	s := newServed(t, 10)
	absent := manifest.Digest(strings.Repeat("cd", 32))
	path := "/" + manifest.BlobPath(absent)
	if resp := s.ask("GET", path); resp.StatusCode != 404 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s, %v", resp.Status, resp.Header)
	}
	s.write(t, "artifacts"+path, "it came")
	if resp := s.ask("GET", path); resp.StatusCode != 200 || string(body(t, resp)) != "it came" {
		t.Errorf("got %s", resp.Status)
	}
}

func TestALinkDoesNotLeadOutOfTheDirectory(t *testing.T) {
	s := newServed(t, 10)
	for name, target := range map[string]string{
		"to a file above":               "../../../secret",
		"to an absolute path":           filepath.Join(filepath.Dir(s.dir), "secret"),
		"to itself, which has no end":   strings.Repeat("ef", 32),
		"to a place that is not there":  "../../../nothing",
		"to a directory above, as file": "../../..",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(s.dir, "blobs", "ef", strings.Repeat("ef", 32))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
			resp := s.ask("GET", "/blobs/ef/"+strings.Repeat("ef", 32))
			got := string(body(t, resp))
			if resp.StatusCode != 404 && resp.StatusCode != 500 || strings.Contains(got, "CA's key") || strings.Contains(got, s.dir) {
				t.Errorf("got %s: %s", resp.Status, got)
			}
			if resp.Header.Get("Etag") != "" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("the refusal may be kept: %v", resp.Header)
			}
		})
	}
	// A shard that is a link is no better.
	if err := os.Symlink("../../ab", filepath.Join(s.dir, "blobs", "ab")); err != nil {
		t.Fatal(err)
	}
	resp := s.ask("GET", "/blobs/ab/"+strings.Repeat("ab", 32))
	if got := string(body(t, resp)); resp.StatusCode == 200 || strings.Contains(got, "CA's key") {
		t.Errorf("through a linked shard: %s", resp.Status)
	}
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	s := newServed(t, 10)
	for _, path := range []string{s.path(), "/install.sh", "/healthz"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"} {
			resp := s.ask(method, path)
			if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %s, Allow %q", method, path, resp.Status, resp.Header.Get("Allow"))
			}
		}
	}
	if raw, err := os.ReadFile(filepath.Join(s.dir, manifest.BlobPath(s.digest))); err != nil || !bytes.Equal(raw, s.blob) {
		t.Errorf("the blob was changed: %v", err)
	}
}

// fromFile is a ResponseWriter like that of net/http: it takes a reader as a whole, and notes which.
type fromFile struct {
	*httptest.ResponseRecorder
	sources []io.Reader
}

func (f *fromFile) ReadFrom(r io.Reader) (int64, error) {
	f.sources = append(f.sources, r)
	return io.Copy(f.ResponseRecorder, r)
}

// Only a plain *os.File, at most limited, is sent by the kernel without passing through this process. A wrapper around
// the file or the ResponseWriter would lose that in silence.
func TestAFileIsHandedToTheKernelAsItIs(t *testing.T) {
	s := newServed(t, 100_000)
	for _, c := range []struct {
		name, path, ranges string
		size               int64
	}{
		{"a whole blob", s.path(), "", 100_000},
		{"the rest of a blob", s.path(), "bytes=60000-", 40_000},
		{"install.sh", "/install.sh", "", 23},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", c.path, nil)
			if c.ranges != "" {
				r.Header.Set("Range", c.ranges)
			}
			w := &fromFile{ResponseRecorder: httptest.NewRecorder()}
			s.handler.ServeHTTP(w, r)
			if len(w.sources) != 1 {
				t.Fatalf("%d readers were handed over; the bytes were copied in this process", len(w.sources))
			}
			limited, ok := w.sources[0].(*io.LimitedReader)
			if !ok {
				t.Fatalf("the reader is %T", w.sources[0])
			}
			if _, ok := limited.R.(*os.File); !ok {
				t.Fatalf("the reader inside is %T", limited.R)
			}
			if int64(w.Body.Len()) != c.size {
				t.Errorf("%d bytes were sent", w.Body.Len())
			}
		})
	}
}
