package artifacts

import (
	"fmt"
	"io"
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
	ignored := l.ignored()
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
		case strings.HasPrefix(d.Name(), ".") || trees[name] || ignored(name):
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

// ignoreFile lists patterns of what lies beside a bundle without being a part of it.
const ignoreFile = ".bundleignore"

// ignored reads ignoreFile and says whether it names a path.
func (l *linter) ignored() func(name string) bool {
	var patterns []string
	if f, err := l.sources.root.Open(ignoreFile); err == nil {
		text, _ := io.ReadAll(io.LimitReader(f, 64<<10))
		_ = f.Close() // it was only read
		for i, pattern := range strings.Split(string(text), "\n") {
			pattern = strings.TrimSuffix(strings.TrimSpace(pattern), "/")
			if pattern == "" || pattern[0] == '#' {
				continue
			}
			if _, err := path.Match(pattern, ""); err != nil || path.Clean(pattern) != pattern || path.IsAbs(pattern) {
				l.warn(config.Problem{File: bundlePath(l.bundle, ignoreFile), Line: i + 1, Column: 1, Source: pattern},
					fmt.Sprintf("%q is not a pattern of paths", pattern), "write paths relative to the bundle, such as src or cluster-*.yaml")
				continue
			}
			patterns = append(patterns, pattern)
		}
	}
	return func(name string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			matched, _ := path.Match(pattern, name)
			return matched
		})
	}
}
