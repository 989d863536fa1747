package artifacts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"muster/internal/manifest"
	"muster/internal/unpack"
)

// tree is a package's directory as it was found: everything that goes into its blob, and nothing of who made it, when
// and with which umask.
type tree struct {
	// root and dir are where the files are read again, shown is what people know the place by.
	root    *os.Root
	dir     string
	shown   string
	entries []entry
	digest  manifest.Digest
}

// entry is one file, directory or link of a tree.
type entry struct {
	// path is relative to the tree, with slashes.
	path string
	mode fs.FileMode
	// size and digest are those of a regular file, target that of a link.
	size   int64
	digest [sha256.Size]byte
	target string
}

// scan reads the tree in dir, which is relative to in. What cannot be packed is a problem; the tree is only usable when
// there was none.
func scan(ctx context.Context, in *os.Root, dir, shown string, p *problems) (*tree, error) {
	root, err := in.OpenRoot(dir)
	if err != nil {
		p.failed(shown, err)
		return nil, nil
	}
	defer root.Close()
	t := &tree{root: in, dir: dir, shown: shown}
	s := scanner{root: root, shown: shown, problems: p, tree: t}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return s.visit(name, d, err)
	})
	if err != nil {
		return nil, err
	}
	if len(t.entries) == 0 {
		p.file(shown, "the package's directory is empty", "build the package, or leave the architecture out of bundle.yaml")
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	t.digest = t.sum()
	return t, nil
}

type scanner struct {
	root     *os.Root
	shown    string
	problems *problems
	tree     *tree
}

func (s scanner) visit(name string, d fs.DirEntry, err error) error {
	shown := s.shown + "/" + name
	if err != nil {
		s.problems.failed(shown, err)
		return skip(d)
	}
	if name == "." {
		return nil
	}
	if bad := unpack.BadName(name); bad != "" {
		s.problems.file(fmt.Sprintf("%s/%q", s.shown, name), "the name "+bad, "rename the file")
		return skip(d)
	}
	if len(name) > unpack.MaxName {
		s.problems.file(shown, fmt.Sprintf("the path has %d bytes, and a package can carry %d", len(name), unpack.MaxName), "shorten it")
		return skip(d)
	}
	info, err := d.Info()
	if err != nil {
		s.problems.failed(shown, err)
		return nil
	}
	e := entry{path: name}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.mode = fs.ModeDir | 0o755
	case mode.Type() == fs.ModeSymlink:
		e.mode = fs.ModeSymlink | 0o777
		if e.target, err = s.root.Readlink(name); err != nil {
			s.problems.failed(shown, err)
			return nil
		}
		if message := s.badLink(name, e.target); message != "" {
			s.problems.file(shown, message, "link to something in the same package, by a relative path without detours")
			return nil
		}
	case !mode.IsRegular():
		s.problems.file(shown, "is neither a file nor a directory nor a link ("+mode.Type().String()+")", "remove it from the package")
		return nil
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		s.problems.file(shown, "is setuid or setgid, which a package cannot carry", "chmod ug-s it; let the unit give the program what it needs (User=, AmbientCapabilities=)")
		return nil
	case mode&0o400 == 0:
		// root could read it, others not: it must not depend on who generates.
		s.problems.file(shown, "its owner may not read it ("+mode.Perm().String()+")", "chmod u+r it")
		return nil
	default:
		e.mode = 0o644
		if mode&0o100 != 0 {
			e.mode = 0o755
		}
		if e.size, e.digest, err = s.hash(name); err != nil {
			s.problems.failed(shown, err)
			return nil
		}
	}
	s.tree.entries = append(s.tree.entries, e)
	return nil
}

func skip(d fs.DirEntry) error {
	if d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// badLink says what is wrong with a link, by the rules of the host that unpacks it.
func (s scanner) badLink(name, target string) string {
	shown := fmt.Sprintf("the link's target %.200q ", target)
	if bad := unpack.BadTarget(name, target); bad != "" {
		return shown + bad
	}
	if _, err := s.root.Stat(name); err != nil {
		return shown + "does not exist in the package"
	}
	return ""
}

func (s scanner) hash(name string) (size int64, digest [sha256.Size]byte, err error) {
	f, err := s.root.Open(name)
	if err != nil {
		return 0, digest, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, [sha256.Size]byte(h.Sum(nil)), err
}

// sum names the tree by its content and by how it is packed.
func (t *tree) sum() manifest.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "muster package tree\n%s\n", packing)
	for _, e := range t.entries {
		fmt.Fprintf(h, "%q %o %d %x %q\n", e.path, e.mode, e.size, e.digest, e.target)
	}
	return manifest.Digest(hex.EncodeToString(h.Sum(nil)))
}

// unpacked is the total length of the regular files.
func (t *tree) unpacked() int64 {
	var n int64
	for _, e := range t.entries {
		n += e.size
	}
	return n
}

// links are the files that appear in the well-known directories of a generation.
func (t *tree) links() []string {
	byPath := t.byPath()
	links := []string{}
	for _, e := range t.entries {
		if !slices.Contains(manifest.WellKnown, path.Dir(e.path)) {
			continue
		}
		if _, ok := fileAt(e, byPath); ok {
			links = append(links, e.path)
		}
	}
	return links
}

func (t *tree) byPath() map[string]entry {
	byPath := make(map[string]entry, len(t.entries))
	for _, e := range t.entries {
		byPath[e.path] = e
	}
	return byPath
}

// fileAt gives the file that an entry is or leads to. It follows links as far as their targets stand in the list, which
// those do not that lead through a directory that is a link itself.
func fileAt(e entry, byPath map[string]entry) (entry, bool) {
	for range 40 {
		if e.mode.Type() != fs.ModeSymlink {
			return e, e.mode.IsRegular()
		}
		next, ok := byPath[path.Join(path.Dir(e.path), e.target)]
		if !ok {
			return entry{}, false
		}
		e = next
	}
	return entry{}, false
}

var errChanged = errors.New("changed while it was read; generate again when nobody writes to it")
