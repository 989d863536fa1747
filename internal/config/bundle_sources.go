package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/archive"
	"muster/internal/manifest"
)

// Source is what a package is packed from: a directory, or an archive with a choice of its content.
type Source struct {
	// Path is relative to the bundle. Its ending tells an archive from a directory.
	Path string
	// SHA256 pins the archive, unless it is empty.
	SHA256 manifest.Digest
	archive.Selection
}

// Archive says whether the source is an archive.
func (s Source) Archive() bool { return archive.Named(s.Path) }

// allArchitectures is the key of a source that serves every architecture.
const allArchitectures = "all"

// sources reads a package's sources by architecture.
func (p *bundleParser) sources(pkg string, c cursor) map[manifest.Arch]Source {
	out := map[manifest.Arch]Source{}
	if !c.isMapping() {
		return out
	}
	known := append(slices.Clone(architectures), allArchitectures)
	var all *cursor
	c.named(func(arch string, c cursor) {
		if !slices.Contains(known, arch) {
			c.failKey("unknown architecture"+suggestion(arch, known), "the architectures are "+join(architectures, "and")+"; "+allArchitectures+" stands for every one")
			return
		}
		s, ok := p.source(c)
		switch {
		case arch == allArchitectures:
			all = &c
			for _, a := range architectures {
				if ok {
					out[manifest.Arch(a)] = s
				}
			}
		case ok:
			out[manifest.Arch(arch)] = s
		}
	})
	switch {
	case len(c.node.Content) == 0:
		c.fail("must name at least one source", "write the directory or archive for an architecture, such as amd64: packages/"+pkg+"/amd64")
	case all != nil && len(c.node.Content) > 2:
		all.failKey("stands for every architecture, so no other can stand beside it", "keep all, or name each architecture")
		return out
	}
	p.checkSources(c, out)
	return out
}

// source reads a path, or a mapping with one.
func (p *bundleParser) source(c cursor) (s Source, ok bool) {
	if c.node.Kind != yaml.MappingNode {
		s.Path, ok = p.path(c)
		return s, ok
	}
	var options []cursor
	var strip *cursor
	c.fields(
		must("path", "name the directory or archive, relative to bundle.yaml", func(c cursor) { s.Path, ok = p.path(c) }),
		may("sha256", func(c cursor) { options, s.SHA256 = append(options, c), c.sha256() }),
		may("prefix", func(c cursor) {
			options = append(options, c)
			s.Prefix, _ = p.path(c)
		}),
		may("strip", func(c cursor) {
			options, strip = append(options, c), &c
			s.Strip, _ = c.whole(1, 32)
		}),
		may("include", func(c cursor) { options, s.Include = append(options, c), c.globs() }),
		may("into", func(c cursor) {
			options = append(options, c)
			s.Into, _ = p.path(c)
		}),
	)
	if strip != nil && s.Prefix != "" {
		strip.failKey("cannot stand together with prefix", "keep one of the two: prefix takes what is below a directory, strip drops so many leading directories")
	}
	if ok && !s.Archive() {
		for _, o := range options {
			o.failKey("is only for archives, and "+quote(s.Path)+" is a directory by its name", "remove it, or name an archive: "+choice(archive.Endings))
		}
	}
	return s, ok
}

// sha256 reads a digest as sha256sum(1) prints it.
func (c cursor) sha256() manifest.Digest {
	s, ok := c.scalarText() // one of digits alone is a number to YAML
	if ok && !manifest.Digest(s).Valid() {
		c.fail(quote(s)+" is not a SHA-256", "write the 64 hexadecimal digits, in lower case, that `sha256sum` prints for the file")
		return ""
	}
	return manifest.Digest(s)
}

// globs reads patterns of paths.
func (c cursor) globs() []string {
	const remedy = "write patterns of paths below the prefix, such as bin/*; a directory takes everything in it"
	var out []string
	c.items(func(_ int, c cursor) {
		s, ok := c.text()
		if !ok {
			return
		}
		s = strings.TrimSuffix(s, "/")
		if _, err := path.Match(s, "x"); err != nil || s == "" || s == "." || path.IsAbs(s) || path.Clean(s) != s || strings.HasPrefix(s, "..") {
			c.fail(quote(s)+" is not a pattern of paths", remedy)
			return
		}
		out = append(out, s)
	})
	if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
		c.fail("must list at least one pattern", remedy+"; or leave include out to take everything")
	}
	return out
}

// checkSources looks for the directories and archives of a package. One architecture is enough to install on it, so
// that a publisher can try a bundle before all of it is built.
func (p *bundleParser) checkSources(c cursor, sources map[manifest.Arch]Source) {
	if p.files == nil {
		return
	}
	found := 0
	for arch, c := range c.entries() {
		of := manifest.Arch(arch)
		if arch == allArchitectures {
			of = manifest.Arch(architectures[0])
		}
		s, ok := sources[of]
		if !ok {
			continue
		}
		kind := "directory"
		if s.Archive() {
			kind = "archive"
		}
		switch info, err := p.files(s.Path); {
		case errors.Is(err, fs.ErrNotExist):
			c.warn("the bundle has no "+kind+" "+quote(s.Path), "build the package for "+arch+", or leave the architecture out; until then it cannot be installed on such hosts")
		case err != nil:
			c.fail(fmt.Sprintf("the %s %s cannot be used: %v", kind, quote(s.Path), cause(err)), "make it readable and let it lie inside the bundle, links included")
		case s.Archive() && !info.Mode().IsRegular():
			c.fail(quote(s.Path)+" is not a regular file, though it is named like an archive", "name an archive, or give the directory another name")
		case !s.Archive() && !info.IsDir():
			c.fail(quote(s.Path)+" is neither a directory nor named like an archive", "name the directory whose content is the package, or an archive: "+choice(archive.Endings))
		default:
			found++
		}
	}
	if found == 0 && len(sources) > 0 {
		c.failKey("none of the package's sources exists", "build the package for at least one of "+choice(slices.Sorted(maps.Keys(sources))))
	}
}
