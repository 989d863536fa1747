package agent

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// changedUnits are those of the units that run otherwise with the plan's generation than with the one before: all of them
// when any file is another, because nobody says which unit reads which; else those whose own text is.
func (i *installation) changedUnits(units []string, before string) ([]string, error) {
	old := i.layout.generation(i.cluster, before)
	if before == "" || before != filepath.Base(before) || !exists(old) {
		return units, nil
	}
	differ, err := difference(old, i.layout.generation(i.cluster, i.plan.generationID(i.manifest)))
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, path := range differ {
		name, isUnit := strings.CutPrefix(path, "units/")
		switch {
		case !isUnit:
			return units, nil
		case slices.Contains(units, name):
			changed = append(changed, name)
		}
	}
	return changed, nil
}

// difference lists the paths that two trees do not have alike.
func difference(a, b string) ([]string, error) {
	have, err := contents(a)
	if err != nil {
		return nil, err
	}
	other, err := contents(b)
	if err != nil {
		return nil, err
	}
	var paths []string
	for path, c := range have {
		if o, ok := other[path]; !ok || o.mode != c.mode || !bytes.Equal(o.data, c.data) {
			paths = append(paths, path)
		}
		delete(other, path)
	}
	for path := range other {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, nil
}

// content is a file's, or where a link leads.
type content struct {
	mode fs.FileMode
	data []byte
}

// contents reads a generation: configuration, which unpack has bounded.
func contents(dir string) (map[string]content, error) {
	all := make(map[string]content)
	return all, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		c := content{mode: info.Mode()}
		if d.Type()&fs.ModeSymlink != 0 {
			var target string
			target, err = os.Readlink(path)
			c.data = []byte(target)
		} else {
			c.data, err = os.ReadFile(path)
		}
		name, relErr := filepath.Rel(dir, path)
		all[name] = c
		return errors.Join(err, relErr)
	})
}

// tidy removes what an installation that is done needs no more: blobs, and generations but this one and the one before, to
// which it could go back. What cannot be removed now is removed after the next change or when the agent leaves.
func (i *installation) tidy() {
	_ = os.RemoveAll(i.layout.blobs())
	if i.before == "" {
		return
	}
	generations := i.layout.at("opt", i.cluster, "generations")
	entries, err := os.ReadDir(generations)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Name() != i.plan.generationID(i.manifest) && e.Name() != i.before {
			_ = os.RemoveAll(filepath.Join(generations, e.Name()))
		}
	}
}
