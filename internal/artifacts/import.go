package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/manifest"
)

// Import takes the generation in from over to the directory to, which the coordinator serves from: a later genconf, or
// an accident with the first directory, then changes nothing. Every blob is verified. generation.json is written last,
// so what it names is there; blobs of generations that were imported before stay. Repeating it changes nothing.
//
// One import into a directory at a time.
func Import(ctx context.Context, from, to string) error {
	g, manifests, err := Load(from)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, b := range blobs(g, manifests) {
		if err := importBlob(ctx, from, to, b); err != nil {
			return fmt.Errorf("import into %s: %w", to, err)
		}
	}
	for _, path := range readable(g) {
		if err := importFile(from, to, path); err != nil {
			return fmt.Errorf("import into %s: %w", to, err)
		}
	}
	encoded, err := g.Encode()
	if err != nil {
		return err
	}
	// The same directory may have been generated anew in the meantime; what was verified is what is written.
	return durable.WriteFile(filepath.Join(to, generationFile), encoded, 0o644)
}

// readable are the files of a generation that have names, but for generation.json.
func readable(g *manifest.Generation) []string {
	paths := []string{installFile, configFile}
	for _, r := range g.Roles {
		dir := filepath.Join(rolesDir, string(r.Name))
		paths = append(paths, filepath.Join(dir, manifestFile), filepath.Join(dir, userDataFile))
	}
	slices.Sort(paths)
	return paths
}

func importFile(from, to, path string) error {
	data, err := readAtMost(filepath.Join(from, path), maxGeneration)
	target := filepath.Join(to, path)
	if errors.Is(err, os.ErrNotExist) {
		// The generation imported before may have had it.
		return durable.RemoveAll(target)
	}
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(target, data, 0o644)
}

func importBlob(ctx context.Context, from, to string, b manifest.Blob) error {
	path := manifest.BlobPath(b.Digest)
	source, target := filepath.Join(from, path), filepath.Join(to, path)
	if verifyBlob(ctx, target, b) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	dir := filepath.Dir(target)
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := durable.CleanTemp(dir); err != nil {
		return err
	}
	working := filepath.Join(dir, durable.TempPrefix+filepath.Base(target))
	err := linkOrCopy(ctx, source, working)
	if err == nil {
		err = verifyBlob(ctx, working, b)
	}
	if err == nil {
		err = syncFile(working)
	}
	if err == nil {
		err = durable.Rename(working, target)
	}
	if err != nil {
		return errors.Join(err, remove(working))
	}
	return nil
}

// linkOrCopy makes a link, unless somebody else could write to the file through it.
func linkOrCopy(ctx context.Context, source, target string) error {
	var st unix.Stat_t
	if err := unix.Lstat(source, &st); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if st.Uid == uint32(os.Geteuid()) && st.Mode&0o022 == 0 && os.Link(source, target) == nil {
		return nil
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(copyFile(ctx, f, source), f.Chmod(0o644), f.Close())
}

func copyFile(ctx context.Context, w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, &cancellable{ctx, f})
	return err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
