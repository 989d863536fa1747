package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/config"
	"muster/internal/sign"
)

// ours is everything that a generation has at its top.
var ours = []string{generationFile, configFile, installFile, packedFile, sbomFile, sign.File, blobsDir, rolesDir, historyDir}

// findOut gives the real path of the directory that the generation is to become, and refuses one that has anything
// that is not ours: what is there is going to be removed.
func findOut(out string, c *config.Cluster, opts Options, p *problems) string {
	if out == "" {
		p.file("--out", "no directory is given for the generation", "name one, such as genconf")
		return ""
	}
	abs, err := filepath.Abs(out)
	if err != nil {
		p.failed(out, err)
		return ""
	}
	// A link at its place stays; the directory that it leads to is replaced.
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	for _, pkg := range c.Bundle.Packages {
		for _, arch := range slices.Sorted(maps.Keys(pkg.Sources)) {
			if dir, err := realPath(bundlePath(c.Bundle, pkg.Sources[arch].Path)); err == nil && inside(abs, dir) {
				p.file(out, "is inside of package "+pkg.Name+", which it would become part of", "name another directory with --out")
				return ""
			}
		}
	}
	entries, err := os.ReadDir(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return abs
	case err != nil:
		p.failed(out, err)
		return ""
	case len(entries) == 0:
		return abs
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if !slices.Contains(names, generationFile) {
		p.file(out, "is not empty and holds no generation", "name another directory, or empty this one")
		return ""
	}
	for _, name := range names {
		if !slices.Contains(ours, name) {
			p.file(filepath.Join(out, name), "does not belong to a generation and would be lost: "+out+" is replaced as a whole", "move it elsewhere")
		}
	}
	for _, input := range append([]string{c.File, c.Bundle.Dir}, slices.Sorted(maps.Values(opts.Agents))...) {
		if real, err := realPath(input); err == nil && inside(real, abs) {
			p.file(input, fmt.Sprintf("is inside of %s, which is replaced as a whole", out), "move it elsewhere, or name another directory with --out")
		}
	}
	return abs
}

func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil || path == "" {
		return "", errors.Join(err, fs.ErrInvalid)
	}
	return filepath.EvalSymlinks(abs)
}

func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}
