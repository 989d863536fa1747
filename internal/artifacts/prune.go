package artifacts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/durable"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// Kept is one generation in a directory.
type Kept struct {
	ConfigID manifest.ConfigID `json:"config_id"`
	Current  bool              `json:"current"`
	Bundle   manifest.Bundle   `json:"bundle"`
	// Version is that of the signed statement, 0 if there is none.
	Version uint64 `json:"version,omitempty"`
	// Blobs and Bytes are all that it consists of; what goes when it is removed is less, since blobs are shared.
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Problem is set when it is not whole.
	Problem string `json:"problem,omitempty"`
}

// Generations lists the generations in a directory, the current one first, then the old ones, newest first.
func Generations(dir string) ([]Kept, error) {
	current, err := readGeneration(dir)
	if err != nil {
		return nil, err
	}
	list := []Kept{{ConfigID: current.ConfigID, Current: true}}
	for _, id := range without(readIndex(dir), current.ConfigID) {
		list = append(list, Kept{ConfigID: id})
	}
	for i := range list {
		k := &list[i]
		at := keptDir(dir, k.ConfigID)
		if k.Current {
			at = dir
		}
		g, manifests, err := loadFrom(at, dir)
		if err != nil {
			k.Problem = err.Error()
			continue
		}
		k.Bundle = g.Bundle
		for _, b := range blobs(g, manifests) {
			k.Blobs, k.Bytes = k.Blobs+1, k.Bytes+b.Size
		}
		if s, err := readStatement(at); err == nil {
			k.Version = s.Version
		}
	}
	return list, nil
}

// Prune keeps the current generation and up to keep old ones, and removes every other one and each blob that none of
// those has. Where the current one cannot be read, nothing is removed. It may be interrupted at any time and repeated.
//
// Nobody else may write to the directory meanwhile.
func Prune(dir string, keep int) (freed int64, err error) {
	current, manifests, err := loadFrom(dir, dir)
	if err != nil {
		return 0, err
	}
	wanted := map[manifest.Digest]bool{}
	add := func(g *manifest.Generation, manifests map[manifest.Role]*manifest.Manifest) {
		for _, b := range blobs(g, manifests) {
			wanted[b.Digest] = true
		}
	}
	add(current, manifests)
	var kept []manifest.ConfigID
	for _, id := range without(readIndex(dir), current.ConfigID) {
		if len(kept) >= keep {
			break
		}
		// What is not whole can serve nobody any more.
		if g, manifests, err := loadFrom(keptDir(dir, id), dir); err == nil {
			add(g, manifests)
			kept = append(kept, id)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, historyDir)); err == nil {
		if err := writeIndex(dir, kept); err != nil {
			return 0, err
		}
		if err := removeHistory(dir, kept); err != nil {
			return 0, err
		}
	}
	return removeBlobs(filepath.Join(dir, blobsDir), wanted)
}

// removeHistory removes the old generations that the index no longer has.
func removeHistory(dir string, kept []manifest.ConfigID) error {
	parent := filepath.Join(dir, historyDir)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id := manifest.ConfigID(e.Name())
		if id.Valid() && !slices.Contains(kept, id) || strings.HasPrefix(e.Name(), durable.TempPrefix) {
			if err := durable.RemoveAll(filepath.Join(parent, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeBlobs removes blobs that are not wanted. Whatever has not the name of a blob is not ours and stays.
func removeBlobs(dir string, wanted map[manifest.Digest]bool) (freed int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		digest := manifest.Digest(d.Name())
		left := strings.HasPrefix(d.Name(), durable.TempPrefix)
		if d.IsDir() || wanted[digest] || !digest.Valid() && !left {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		freed += info.Size()
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return freed, nil
	}
	return freed, err
}

// readStatement reads what the envelope in dir says, whoever signed it.
func readStatement(dir string) (*sign.Statement, error) {
	e, err := readEnvelope(dir)
	if err != nil {
		return nil, err
	}
	return sign.Unverified(e)
}

func readEnvelope(dir string) (*sign.Envelope, error) {
	data, err := readAtMost(filepath.Join(dir, sign.File), sign.MaxSize)
	if err != nil {
		return nil, err
	}
	return sign.Decode(data)
}
