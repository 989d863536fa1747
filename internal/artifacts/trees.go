package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"muster/internal/config"
	"muster/internal/manifest"
)

// readTrees reads the packages, archives unpacked.
func (s *sources) readTrees(ctx context.Context, b *config.Bundle, p *problems) error {
	// Two architectures may share a source.
	known := map[string]*tree{}
	for _, pkg := range b.Packages {
		s.trees[pkg.Name] = map[manifest.Arch]*tree{}
		for _, arch := range slices.Sorted(maps.Keys(pkg.Sources)) {
			source := pkg.Sources[arch]
			if _, err := s.root.Stat(source.Path); errors.Is(err, fs.ErrNotExist) && len(pkg.Sources) > 1 {
				// config warns of it; a publisher can try a bundle before all of it is built.
				continue
			}
			id := fmt.Sprintf("%q %s %q %d %q %q", source.Path, source.SHA256, source.Prefix, source.Strip, source.Include, source.Into)
			t, ok := known[id]
			if !ok {
				var err error
				if source.Archive() {
					t, err = s.scanArchive(ctx, b, pkg.Name, arch, source, p)
				} else {
					t, err = scan(ctx, s.root, source.Path, bundlePath(b, source.Path), p)
				}
				if err != nil {
					return err
				}
				known[id] = t
			}
			if t != nil {
				s.trees[pkg.Name][arch] = t
			}
		}
		if len(s.trees[pkg.Name]) == 0 && len(p.list) == 0 {
			p.file(bundlePath(b, definitionFile), "none of the sources of package "+pkg.Name+" exists", "build the package for at least one architecture")
		}
	}
	return nil
}

// scratch is a private directory for the content of archives. It is made when the first one is unpacked.
type scratch struct {
	path string
	root *os.Root
	n    int
}

// sub makes a directory in it.
func (s *scratch) sub() (string, *os.Root, error) {
	s.n++
	name := fmt.Sprint(s.n)
	if err := s.root.Mkdir(name, 0o700); err != nil {
		return "", nil, err
	}
	root, err := s.root.OpenRoot(name)
	return name, root, err
}

func newScratch() (*scratch, error) {
	path, err := os.MkdirTemp("", "muster-sources-")
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	return &scratch{path: path, root: root}, err
}

func (s *scratch) remove() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.root.Close(), os.RemoveAll(s.path))
}
