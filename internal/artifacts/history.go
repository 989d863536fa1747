package artifacts

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"muster/internal/durable"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// Old generations are kept as what has a name in them, in generations/<config id>; their blobs lie among the others.
// The index has their order, newest first. It is the only thing that says what is kept, so it is written before
// anything is removed, and after everything that it names is there.
const (
	historyDir = "generations"
	indexFile  = "index.json"
)

type index struct {
	Generations []manifest.ConfigID `json:"generations"`
}

// readIndex gives the old generations in dir, newest first. One that cannot be read keeps nothing.
func readIndex(dir string) []manifest.ConfigID {
	data, err := readAtMost(filepath.Join(dir, historyDir, indexFile), maxGeneration)
	var found index
	if err != nil || json.Unmarshal(data, &found) != nil {
		return nil
	}
	return slices.DeleteFunc(found.Generations, func(id manifest.ConfigID) bool { return !id.Valid() })
}

func encodeIndex(ids []manifest.ConfigID) ([]byte, error) { return indented(index{ids}) }

// keptDir is where the named files of an old generation are.
func keptDir(dir string, id manifest.ConfigID) string {
	return filepath.Join(dir, historyDir, string(id))
}

// without is the list without an id.
func without(ids []manifest.ConfigID, id manifest.ConfigID) []manifest.ConfigID {
	return slices.DeleteFunc(slices.Clone(ids), func(other manifest.ConfigID) bool { return other == id })
}

// keepPrevious takes the generations before this one over into the stage, as far as they are whole and wanted.
func (g *generator) keepPrevious() error {
	if g.opts.Keep <= 0 {
		return nil
	}
	type old struct {
		id    manifest.ConfigID
		index string
	}
	from := g.stage.previous
	var candidates []old
	for _, id := range without(readIndex(from), g.id) {
		candidates = append(candidates, old{id, keptDir(from, id)})
	}
	if id := currentID(from); id.Valid() && id != g.id {
		candidates = slices.DeleteFunc(candidates, func(o old) bool { return o.id == id })
		candidates = slices.Insert(candidates, 0, old{id, from})
	}
	var kept []manifest.ConfigID
	for _, o := range candidates {
		if len(kept) >= g.opts.Keep {
			break
		}
		if err := g.keep(o.index, o.id); err != nil {
			// It is not worth failing for: whoever generates wants the new one.
			g.progress("the old generation %.12s is not kept: %v", o.id, err)
			if err := os.RemoveAll(keptDir(g.stage.dir, o.id)); err != nil {
				return err
			}
			continue
		}
		kept = append(kept, o.id)
	}
	if len(kept) == 0 {
		// An empty directory may be left of one that was not whole.
		return os.RemoveAll(filepath.Join(g.stage.dir, historyDir))
	}
	data, err := encodeIndex(kept)
	if err != nil {
		return err
	}
	return g.stage.write(filepath.Join(historyDir, indexFile), data)
}

// currentID names the generation in dir without reading all of it: 50,000 hosts take a while. Whoever uses it does.
func currentID(dir string) manifest.ConfigID {
	data, err := readAtMost(filepath.Join(dir, generationFile), maxGeneration)
	var only struct {
		ConfigID manifest.ConfigID `json:"config_id"`
	}
	if err != nil || json.Unmarshal(data, &only) != nil {
		return ""
	}
	return only.ConfigID
}

// keep links one old generation into the stage. Its blobs were verified when they were made, and are again by whoever
// uses them, so here their lengths do.
func (g *generator) keep(index string, id manifest.ConfigID) error {
	old, manifests, err := loadFrom(index, g.stage.previous)
	if err != nil {
		return err
	}
	for _, name := range append(fileNames(old), generationFile, sign.File) {
		target := filepath.Join(historyDir, string(id), filepath.FromSlash(name))
		err := g.stage.link(filepath.Join(index, filepath.FromSlash(name)), target)
		if err != nil && (name != sign.File || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	for _, b := range blobs(old, manifests) {
		path := manifest.BlobPath(b.Digest)
		if _, err := os.Lstat(filepath.Join(g.stage.dir, path)); err == nil {
			continue
		}
		if err := g.stage.link(filepath.Join(g.stage.previous, path), path); err != nil {
			return err
		}
	}
	return nil
}

// setAside puts the named files of the generation in dir aside, if another one is about to take their place. One that is
// not whole is not worth keeping.
func setAside(dir string, next manifest.ConfigID) error {
	old, _, err := Load(dir)
	if err != nil || old.ConfigID == next {
		return nil
	}
	parent, target := filepath.Join(dir, historyDir), keptDir(dir, old.ConfigID)
	if err := durable.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if err := durable.CleanTemp(parent); err != nil {
		return err
	}
	if _, err := os.Lstat(target); err != nil {
		working := filepath.Join(parent, durable.TempPrefix+string(old.ConfigID))
		for _, name := range append(fileNames(old), generationFile, sign.File) {
			err := importFile(dir, working, name, old.Files[name])
			if err != nil && (name != sign.File || !errors.Is(err, fs.ErrNotExist)) {
				return os.RemoveAll(working) // it was not whole
			}
		}
		if err := durable.Rename(working, target); err != nil {
			return err
		}
	}
	ids := without(without(readIndex(dir), old.ConfigID), next)
	return writeIndex(dir, append([]manifest.ConfigID{old.ConfigID}, ids...))
}

func writeIndex(dir string, ids []manifest.ConfigID) error {
	data, err := encodeIndex(ids)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, historyDir, indexFile), data, 0o644)
}
