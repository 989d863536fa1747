package artifacts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/bundle"
	"muster/internal/config"
	"muster/internal/durable"
	"muster/internal/manifest"
)

// Built is a bundle in one file.
type Built struct {
	manifest.Blob
	// Files are the paths of what is in it.
	Files []string
}

// alongside are the beginnings of names at the top of a bundle that belong to it though bundle.yaml does not name them.
var alongside = []string{"README", "LICENSE", "LICENCE", "COPYING", "NOTICE", "CHANGELOG"}

// BuildBundle writes the bundle and everything that it names into one file, out. The same bundle gives the same bytes.
// What is wrong with the bundle is a config.Problems, and then nothing is written.
func BuildBundle(ctx context.Context, b *config.Bundle, out string) (*Built, error) {
	var p problems
	s, err := read(ctx, &config.Cluster{Bundle: b}, nil, &p)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, p.list
	}
	defer s.close()
	c := &collection{root: s.root, entries: map[string]entry{}}
	if p.list.Err() == nil {
		if err := c.collect(ctx, b, s, &p); err != nil {
			return nil, err
		}
	}
	if err := p.list.Err(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+"-")
	if err != nil {
		return nil, err
	}
	h := &hashed{w: f, h: sha256.New()}
	paths, err := c.write(ctx, bundle.Index{Name: b.Name, Version: b.Version}, h)
	// The umask had its say when the file was made.
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = durable.Rename(f.Name(), out)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	return &Built{manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(h.h.Sum(nil))), Size: h.n}, paths}, nil
}

// collection is what goes into a bundle's file, by path.
type collection struct {
	root    *os.Root
	entries map[string]entry
}

// collect finds everything that bundle.yaml names, and what lies alongside.
func (c *collection) collect(ctx context.Context, b *config.Bundle, s *sources, p *problems) error {
	files := []string{definitionFile}
	for text := range s.texts {
		files = append(files, text)
	}
	top, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range top {
		if d.Type().IsRegular() && slices.ContainsFunc(alongside, func(begin string) bool { return strings.HasPrefix(d.Name(), begin) }) {
			files = append(files, d.Name())
		}
	}
	for _, pkg := range b.Packages {
		for arch := range s.trees[pkg.Name] {
			source := pkg.Sources[arch]
			if source.Archive() {
				files = append(files, source.Path)
				continue
			}
			c.parents(source.Path + "/x")
			for _, e := range s.trees[pkg.Name][arch].entries {
				e.path = path.Join(source.Path, e.path)
				c.entries[e.path] = e
			}
		}
	}
	for _, name := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.file(name); err != nil {
			p.failed(bundlePath(b, name), err)
		}
	}
	return nil
}

// file adds one file. What is a link here is a file there: its target need not be in the bundle.
func (c *collection) file(name string) error {
	f, err := c.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	e := entry{path: name, mode: 0o644}
	if info.Mode()&0o100 != 0 {
		e.mode = 0o755
	}
	h := sha256.New()
	if e.size, err = io.Copy(h, f); err != nil {
		return err
	}
	e.digest = [sha256.Size]byte(h.Sum(nil))
	c.parents(name)
	c.entries[name] = e
	return nil
}

// parents adds the directories above a path.
func (c *collection) parents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := c.entries[dir]; !ok {
			c.entries[dir] = entry{path: dir, mode: fs.ModeDir | 0o755}
		}
	}
}

// write writes the index and after it everything that it lists.
func (c *collection) write(ctx context.Context, index bundle.Index, w io.Writer) ([]string, error) {
	var list []entry
	for _, e := range c.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	var paths []string
	for _, e := range list {
		listed := bundle.Entry{Path: e.path, Target: e.target}
		switch {
		case e.mode.IsDir():
			listed.Path += "/"
		case e.mode.IsRegular():
			listed.Mode, listed.Size, listed.SHA256 = uint32(e.mode.Perm()), e.size, manifest.Digest(hex.EncodeToString(e.digest[:]))
		}
		index.Entries = append(index.Entries, listed)
		paths = append(paths, listed.Path)
	}
	text, err := index.Encode()
	if err != nil {
		return nil, err
	}
	a, err := newPacker(w)
	if err != nil {
		return nil, err
	}
	// Nothing is left to release when it was closed below.
	defer a.zip.Close()
	if err := a.add(entry{path: bundle.IndexName, mode: 0o644, size: int64(len(text))}, bytes.NewReader(text)); err != nil {
		return nil, err
	}
	for _, e := range list {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := packEntry(a, c.root, e); err != nil {
			return nil, err
		}
	}
	return paths, a.close()
}
