package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// configFile is a file of a role's config blob.
type configFile struct {
	mode fs.FileMode
	text string
}

// maxConfigBlob bounds what is unpacked into memory: a role's rendered files together.
const maxConfigBlob = 256 << 20

// readConfigBlob unpacks a role's config into memory.
func readConfigBlob(dir string, b manifest.Blob) (map[string]configFile, error) {
	path := filepath.Join(dir, manifest.BlobPath(b.Digest))
	if b.Size > maxConfigBlob || b.Unpacked > maxConfigBlob {
		return nil, fmt.Errorf("%s is larger than any config", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != string(b.Digest) {
		return nil, fault.New(fault.Invalid, "generate again with `coordinator genconf`, or copy the whole directory again", "%s is damaged", path)
	}
	zip, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxConfigBlob))
	if err != nil {
		return nil, err
	}
	defer zip.Close()
	files := map[string]configFile{}
	archive := tar.NewReader(io.LimitReader(zip, 2*maxConfigBlob))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files[h.Name] = configFile{h.FileInfo().Mode(), string(text)}
	}
}
