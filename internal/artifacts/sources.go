package artifacts

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"

	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/manifest"
)

// definitionFile is the bundle's description of itself.
const definitionFile = "bundle.yaml"

// sources are the inputs as they were read: texts whole, trees and agents by digest.
type sources struct {
	root       *os.Root
	definition string
	texts      map[string]string
	trees      map[string]map[manifest.Arch]*tree
	agents     map[manifest.Arch]manifest.Blob
	// place finds what is wrong in bundle.yaml.
	place locator
	// unpacked is where archives are unpacked to, if there are any.
	unpacked *scratch
}

func (s *sources) close() error { return errors.Join(s.root.Close(), s.unpacked.remove()) }

// read reads everything that goes into a generation. The caller closes the result if there is one.
func read(ctx context.Context, c *config.Cluster, agents map[manifest.Arch]string, p *problems) (*sources, error) {
	root, err := os.OpenRoot(c.Bundle.Dir)
	if err != nil {
		p.failed(c.Bundle.Dir, err)
		return nil, nil
	}
	s := &sources{
		root:   root,
		texts:  map[string]string{},
		trees:  map[string]map[manifest.Arch]*tree{},
		agents: map[manifest.Arch]manifest.Blob{},
	}
	s.readTexts(c.Bundle, p)
	if err := s.readTrees(ctx, c.Bundle, p); err != nil {
		return nil, errors.Join(err, s.close())
	}
	for _, arch := range slices.Sorted(maps.Keys(agents)) {
		switch blob, err := digestFile(agents[arch]); {
		case err != nil:
			p.failed(agents[arch], err)
		case blob.Size == 0:
			p.file(agents[arch], "the bootstrap agent for "+string(arch)+" is empty", "build it again with scripts/build")
		default:
			s.agents[arch] = blob
		}
	}
	return s, nil
}

func (s *sources) readTexts(b *config.Bundle, p *problems) {
	// For positions only: config has read it, and it may have another name.
	s.definition = s.readText(b, definitionFile, new(problems))
	s.place = newLocator(bundlePath(b, definitionFile), s.definition)
	var paths []string
	for _, f := range b.Files {
		paths = append(paths, f.Template)
	}
	for _, u := range b.Units {
		paths = append(paths, u.Template)
	}
	for _, c := range b.Checks {
		if c.Script != "" {
			paths = append(paths, c.Script)
		}
	}
	for _, step := range b.Steps {
		paths = append(paths, step.Script)
	}
	for _, path := range paths {
		if _, ok := s.texts[path]; !ok {
			s.texts[path] = s.readText(b, path, p)
		}
	}
}

func (s *sources) readText(b *config.Bundle, path string, p *problems) string {
	f, err := s.root.Open(path)
	if err != nil {
		p.failed(bundlePath(b, path), err)
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		p.failed(bundlePath(b, path), err)
		return ""
	}
	// One more than can be rendered: package render says what is wrong with it.
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		p.failed(bundlePath(b, path), err)
	}
	return string(data)
}

// maxText is above what config takes for a bundle.yaml and what can be rendered.
const maxText = 16 * late.MaxInput

func (s *sources) inputs(c *config.Cluster) inputs {
	in := inputs{
		Format: manifest.Format, Packing: packing, Cluster: expand(c),
		Bundle:   *c.Bundle,
		Texts:    map[string]manifest.Digest{},
		Packages: map[string]map[manifest.Arch]manifest.Digest{},
		Agents:   map[manifest.Arch]manifest.Digest{},
	}
	in.Bundle.Dir = ""
	for path, text := range s.texts {
		in.Texts[path] = digestOf([]byte(text))
	}
	for name, trees := range s.trees {
		in.Packages[name] = map[manifest.Arch]manifest.Digest{}
		for arch, t := range trees {
			in.Packages[name][arch] = t.digest
		}
	}
	for arch, blob := range s.agents {
		in.Agents[arch] = blob.Digest
	}
	return in
}
