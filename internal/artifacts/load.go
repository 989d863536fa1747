package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// What is read of a generation at most: 50,000 listed hosts take about 10 MiB.
const (
	maxGeneration = 64 << 20
	maxManifest   = 32 << 20
)

// Load reads the generation in dir, with the manifest of every role. Manifests are compared with their digests, and
// every blob must be there with its size. Verify also reads the blobs.
func Load(dir string) (*manifest.Generation, map[manifest.Role]*manifest.Manifest, error) {
	return loadFrom(dir, dir)
}

// loadFrom is Load for a generation whose generation.json is in index and whose blobs are in dir.
func loadFrom(index, dir string) (*manifest.Generation, map[manifest.Role]*manifest.Manifest, error) {
	g, err := readGeneration(index)
	if err != nil {
		return nil, nil, err
	}
	manifests := make(map[manifest.Role]*manifest.Manifest, len(g.Roles))
	for _, r := range g.Roles {
		if manifests[r.Name], err = loadManifest(dir, g, r); err != nil {
			return nil, nil, err
		}
	}
	for _, b := range blobs(g, manifests) {
		if err := checkSize(filepath.Join(dir, manifest.BlobPath(b.Digest)), b); err != nil {
			return nil, nil, err
		}
	}
	return g, manifests, nil
}

// readGeneration reads the generation.json in dir.
func readGeneration(dir string) (*manifest.Generation, error) {
	path := filepath.Join(dir, generationFile)
	data, err := readAtMost(path, maxGeneration)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "run `coordinator genconf` first, or name the directory that it wrote",
			"there is no generation in %s", dir).Because(err)
	}
	if err != nil {
		return nil, err
	}
	g, err := manifest.DecodeGeneration(data)
	if err == nil {
		err = checkNames(g)
	}
	if err != nil {
		return nil, damaged(path, err.Error())
	}
	return g, nil
}

// Verify is Load, and reads every blob to compare it with its digest.
func Verify(ctx context.Context, dir string) (*manifest.Generation, map[manifest.Role]*manifest.Manifest, error) {
	g, manifests, err := Load(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range blobs(g, manifests) {
		if err := verifyBlob(ctx, filepath.Join(dir, manifest.BlobPath(b.Digest)), b); err != nil {
			return nil, nil, err
		}
	}
	return g, manifests, nil
}

func loadManifest(dir string, g *manifest.Generation, r manifest.RoleEntry) (*manifest.Manifest, error) {
	path := filepath.Join(dir, manifest.BlobPath(r.Manifest.Digest))
	if err := checkSize(path, r.Manifest); err != nil {
		return nil, err
	}
	data, err := readAtMost(path, maxManifest)
	if err != nil {
		return nil, err
	}
	if digestOf(data) != r.Manifest.Digest {
		return nil, damaged(path, "its SHA-256 is "+string(digestOf(data)))
	}
	m, err := manifest.DecodeManifest(data)
	if err != nil {
		return nil, damaged(path, err.Error())
	}
	if m.Cluster != g.Cluster || m.ConfigID != g.ConfigID || m.Role != r.Name || m.Counted != r.Count {
		return nil, damaged(path, "it belongs to another generation or role")
	}
	return m, nil
}

// blobs are all blobs of a generation, each once.
func blobs(g *manifest.Generation, manifests map[manifest.Role]*manifest.Manifest) []manifest.Blob {
	var all []manifest.Blob
	seen := map[manifest.Digest]bool{}
	add := func(b manifest.Blob) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			all = append(all, b)
		}
	}
	for _, r := range g.Roles {
		add(r.Manifest)
		add(manifests[r.Name].Config)
		for _, p := range manifests[r.Name].Packages {
			for _, b := range p.Blobs {
				add(b)
			}
		}
	}
	for _, b := range g.Agents {
		add(b)
	}
	return all
}

// readPacked says which blobs the previous generation has for which trees. It only saves work, so anything unexpected
// is as good as nothing.
func readPacked(dir string) packed {
	data, err := readAtMost(filepath.Join(dir, packedFile), maxGeneration)
	if err != nil {
		return nil
	}
	var known packed
	if json.Unmarshal(data, &known) != nil {
		return nil
	}
	for tree, b := range known {
		if !b.Digest.Valid() {
			delete(known, tree)
		}
	}
	return known
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = damaged(path, fmt.Sprintf("it has more than %d bytes", limit))
	}
	return data, err
}

func damaged(path, why string) error {
	return fault.New(fault.Invalid, "generate again with `coordinator genconf`, or copy the whole directory again",
		"%s is damaged: %s", path, why)
}
