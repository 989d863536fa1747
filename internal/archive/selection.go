package archive

import (
	"path"
	"strings"
)

// Endings are the names that archives have, for messages.
var Endings = []string{".tar", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".deb"}

// Named says whether a path is named like an archive.
func Named(p string) bool {
	for _, ending := range Endings {
		if strings.HasSuffix(p, ending) {
			return true
		}
	}
	return strings.HasSuffix(p, ".tgz")
}

// Selection is what is taken of an archive, and under which names. At most one of Prefix and Strip is set.
type Selection struct {
	// Prefix is the directory below which everything is taken; it becomes the top.
	Prefix string `json:",omitempty"`
	// Strip is how many leading directories are dropped from every name.
	Strip int `json:",omitempty"`
	// Include are patterns (path.Match) of names, after Prefix and Strip; a directory that matches is taken with
	// everything in it. Without patterns everything is taken.
	Include []string `json:",omitempty"`
	// Into is the directory of the package that what is taken is put into; its top if empty.
	Into string `json:",omitempty"`
}

// under gives the name after Prefix and Strip, false when nothing of it remains.
func (s Selection) under(name string) (string, bool) {
	if s.Prefix != "" {
		return strings.CutPrefix(name, s.Prefix+"/")
	}
	for range s.Strip {
		var ok bool
		if _, name, ok = strings.Cut(name, "/"); !ok {
			return "", false
		}
	}
	return name, true
}

// included gives the numbers of the patterns that take a name, and whether it is taken at all.
func (s Selection) included(name string) (by []int, ok bool) {
	if len(s.Include) == 0 {
		return nil, true
	}
	for i, pattern := range s.Include {
		for at := name; at != "."; at = path.Dir(at) {
			if matched, err := path.Match(pattern, at); err == nil && matched {
				by = append(by, i)
				break
			}
		}
	}
	return by, len(by) > 0
}
