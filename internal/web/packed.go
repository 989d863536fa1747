package web

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"muster/internal/manifest"
)

// servePacked serves some blobs in gzip. Each is packed once, when the first host wants it, and kept: there are as many as
// the bootstrap agent has architectures, of a few megabytes each.
func servePacked(dir string, digests []manifest.Digest) http.HandlerFunc {
	all := make(map[manifest.Digest]func() ([]byte, error))
	for _, digest := range digests {
		all[digest] = sync.OnceValues(func() ([]byte, error) { return pack(dir, digest) })
	}
	return func(w http.ResponseWriter, r *http.Request) {
		digest := manifest.Digest(r.PathValue("digest"))
		packed, ok := all[digest]
		if !ok || r.PathValue("shard") != string(digest[:2]) {
			http.NotFound(w, r)
			return
		}
		data, err := packed()
		if err != nil {
			http.Error(w, "the artifact cannot be read", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", immutable)
		w.Header().Set("ETag", `"`+string(digest)+`-gzip"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Encoding", "gzip")
		// The whole or nothing: a part of a packed blob is of no use.
		r.Header.Del("Range")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

func pack(dir string, digest manifest.Digest) ([]byte, error) {
	f, err := os.OpenInRoot(dir, filepath.FromSlash(manifest.BlobPath(digest)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, f); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
