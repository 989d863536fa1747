package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"muster/internal/manifest"
)

// nameable are the paths that files of a generation with these roles can have, apart from generation.json, which lists
// them.
func nameable(roles []manifest.RoleEntry) []string {
	paths := []string{installFile, configFile, sbomFile}
	for _, r := range roles {
		for _, name := range []string{manifestFile, userDataFile} {
			paths = append(paths, path.Join(rolesDir, string(r.Name), name))
		}
	}
	return paths
}

// digestFiles gives the named files of a generation that are in dir.
func digestFiles(dir string, roles []manifest.RoleEntry) (map[string]manifest.Blob, error) {
	found := map[string]manifest.Blob{}
	for _, name := range nameable(roles) {
		blob, err := digestFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[name] = blob
	}
	return found, nil
}

// checkNames refuses a list of files with a name that no generation has: the names become paths that are written to.
func checkNames(g *manifest.Generation) error {
	allowed := nameable(g.Roles)
	for name, blob := range g.Files {
		if !slices.Contains(allowed, name) || !blob.Digest.Valid() || blob.Size <= 0 {
			return fmt.Errorf("generation: the file %.200q has no place in it", name)
		}
	}
	return nil
}

// fileNames are the named files of a generation, in order.
func fileNames(g *manifest.Generation) []string { return slices.Sorted(maps.Keys(g.Files)) }
