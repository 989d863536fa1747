package web_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"muster/internal/manifest"
	"muster/internal/web"
)

func TestABlobThatIsNamedIsServedPackedAndNoOther(t *testing.T) {
	dir := t.TempDir()
	blob := func(content []byte) manifest.Digest {
		sum := sha256.Sum256(content)
		digest := manifest.Digest(hex.EncodeToString(sum[:]))
		path := filepath.Join(dir, manifest.BlobPath(digest))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	content := bytes.Repeat([]byte("a bootstrap agent "), 10_000)
	agent, other, missing := blob(content), blob([]byte("other")), manifest.Digest("ab"+string(bytes.Repeat([]byte("0"), 62)))
	handler := web.Artifacts(dir, agent, missing)
	get := func(path, ranges string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	path := func(d manifest.Digest) string { return "/packed/" + string(d[:2]) + "/" + string(d) }
	var all sync.WaitGroup
	for range 4 {
		for _, ranges := range []string{"", "bytes=5-9"} {
			all.Go(func() {
				w := get(path(agent), ranges)
				z, err := gzip.NewReader(w.Body)
				if err != nil || w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" {
					t.Errorf("%d, %v: %v", w.Code, w.Header(), err)
					return
				}
				if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes come out (%v), want %d", len(got), err, len(content))
				}
			})
		}
	}
	all.Wait()
	for name, code := range map[string]int{
		path(other): 404, path(missing): 500, "/packed/zz/" + string(agent): 404, "/packed/" + string(agent[:2]) + "/../../x": 404, "/packed/a/b": 404,
	} {
		if w := get(name, ""); w.Code != code && w.Code/100 != 3 {
			t.Errorf("%s is answered with %d, want %d", name, w.Code, code)
		}
	}
}
