package artifacts

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"muster/internal/bundle"
	"muster/internal/config"
)

// files finds files of the bundle's directory that bundle.yaml does not name. Where a whole directory is not named, it
// is told as one.
func (l *linter) files() {
	used := map[string]bool{definitionFile: true, "cluster.yaml": true, bundle.IndexName: true}
	for text := range l.sources.texts {
		used[text] = true
	}
	trees := map[string]bool{}
	for _, pkg := range l.bundle.Packages {
		for _, s := range pkg.Sources {
			used[s.Path] = true
			trees[s.Path] = !s.Archive()
		}
	}
	inUse := map[string]bool{}
	for name := range used {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			inUse[dir] = true
		}
	}
	unused := map[string]int{}
	_ = fs.WalkDir(l.sources.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return nil
		case strings.HasPrefix(d.Name(), ".") || trees[name]:
			return skip(d)
		case d.IsDir() || used[name]:
			return nil
		case !strings.Contains(name, "/") && (strings.HasSuffix(name, bundle.Ending) || slices.ContainsFunc(alongside, func(s string) bool { return strings.HasPrefix(name, s) })):
			return nil
		}
		at := name
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if !inUse[dir] {
				at = dir
			}
		}
		unused[at]++
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		message := "bundle.yaml does not name this file"
		if n := unused[name]; n > 1 || name != path.Clean(name) {
			message = fmt.Sprintf("bundle.yaml names none of the %d files in it", n)
		}
		l.warn(config.Problem{File: bundlePath(l.bundle, name)}, message, "name it there, or move it out of the bundle; `coordinator bundle build` leaves it out")
	}
}
