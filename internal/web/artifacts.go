// Package web is the HTTP front doors: one for artifacts, bytes that anyone may read, which knows no host; and one for the
// operator's page, which shows what the core says to whoever is logged in and changes nothing. It holds no rule but what
// keeps a browser's session safe.
package web

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/internal/manifest"
	"muster/internal/sign"
)

// immutable is true of whatever is named by its digest (RFC 8246).
const immutable = "public, max-age=31536000, immutable"

// Artifacts serves a generation's blobs below /blobs/ and its install.sh. Other files of the directory stay unseen.
// Bytes go from the page cache to the socket without passing through this process (sendfile(2)). Blobs that are named are
// served in gzip, too, below /packed/, for hosts to which many round trips would be long.
func Artifacts(dir string, packed ...manifest.Digest) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /packed/{shard}/{digest}", servePacked(dir, packed))
	mux.HandleFunc("GET /blobs/{shard}/{digest}", func(w http.ResponseWriter, r *http.Request) {
		digest := manifest.Digest(r.PathValue("digest"))
		if !digest.Valid() || !strings.HasPrefix(string(digest), r.PathValue("shard")) || len(r.PathValue("shard")) != 2 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", immutable)
		w.Header().Set("ETag", `"`+string(digest)+`"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		serveFile(w, r, dir, manifest.BlobPath(digest))
	})
	mux.HandleFunc("GET /install.sh", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", "text/x-shellscript")
		serveFile(w, r, dir, "install.sh")
	})
	mux.HandleFunc("GET /"+sign.File, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", "application/json")
		serveFile(w, r, dir, sign.File)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("ok\n"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// serveFile answers with ranges and conditions; the file's own time means nothing. A link that leads out of dir is not
// followed.
func serveFile(w http.ResponseWriter, r *http.Request, dir, name string) {
	f, err := os.OpenInRoot(dir, filepath.FromSlash(name))
	if err != nil {
		// A blob that is missing now may come; nothing of the answer is to be kept.
		w.Header().Del("ETag")
		w.Header().Set("Cache-Control", "no-store")
		if errors.Is(err, fs.ErrNotExist) {
			http.NotFound(w, r)
		} else {
			http.Error(w, "the artifact cannot be read", http.StatusInternalServerError)
		}
		return
	}
	defer f.Close()
	// No host asks for several ranges at once. Whoever does gets the whole (RFC 9110, 14.2 allows it) and not a part of
	// its own for each of thousands.
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Time{}, f)
}
