package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"muster/internal/cancel"
	"muster/internal/durable"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// Import takes the generation in from over to the directory to, which the coordinator serves from: a later genconf, or
// an accident with the first directory, then changes nothing. Every blob and file is verified. generation.json is
// written last, so what it names is there. A generation that it replaces is kept beside it until Prune. Repeating it
// changes nothing.
//
// One import into a directory at a time.
func Import(ctx context.Context, from, to string) error {
	_, err := ImportAdmitted(ctx, from, to, nil)
	return err
}

// ImportAdmitted is Import of a generation that the admission lets through; it gives its signed statement, if it has
// one. Without an admission, no signature is asked for.
func ImportAdmitted(ctx context.Context, from, to string, a *Admission) (*sign.Statement, error) {
	g, manifests, err := Load(from)
	if err != nil {
		return nil, err
	}
	envelope, err := readAtMost(filepath.Join(from, sign.File), sign.MaxSize)
	if errors.Is(err, os.ErrNotExist) {
		envelope, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	var statement *sign.Statement
	if a != nil {
		// The same directory may be generated anew in the meantime; what is verified here is what is written.
		if statement, err = a.check(g, envelope); err != nil {
			return nil, err
		}
	}
	if err := durable.MkdirAll(to, 0o755); err != nil {
		return nil, err
	}
	for _, b := range blobs(g, manifests) {
		if err := importBlob(ctx, from, to, b); err != nil {
			return nil, fmt.Errorf("import into %s: %w", to, err)
		}
	}
	if err := setAside(to, g.ConfigID); err != nil {
		return nil, fmt.Errorf("keep the previous generation in %s: %w", to, err)
	}
	if a != nil {
		if err := a.remember(statement); err != nil {
			return nil, err
		}
	}
	if err := importNamed(from, to, g, envelope); err != nil {
		return nil, fmt.Errorf("import into %s: %w", to, err)
	}
	return statement, nil
}

// importNamed puts the files that have names into their places, generation.json last.
func importNamed(from, to string, g *manifest.Generation, envelope []byte) error {
	var stale []string
	if old, err := readGeneration(to); err == nil {
		for _, name := range fileNames(old) {
			if _, still := g.Files[name]; !still {
				stale = append(stale, name)
			}
		}
	}
	for _, name := range fileNames(g) {
		if err := importFile(from, to, name, g.Files[name]); err != nil {
			return err
		}
	}
	for _, name := range stale {
		if err := durable.RemoveAll(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	target := filepath.Join(to, sign.File)
	if envelope == nil {
		if err := durable.RemoveAll(target); err != nil {
			return err
		}
	} else if err := durable.WriteFile(target, envelope, 0o644); err != nil {
		return err
	}
	encoded, err := g.Encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(to, generationFile), encoded, 0o644)
}

// importFile copies a named file. Without a digest to compare with, it is taken as it is.
func importFile(from, to, name string, want manifest.Blob) error {
	path := filepath.Join(from, filepath.FromSlash(name))
	data, err := readAtMost(path, maxGeneration)
	if err != nil {
		return err
	}
	if want.Digest != "" && (want.Size != int64(len(data)) || digestOf(data) != want.Digest) {
		return damaged(path, "it is not the file that generation.json lists")
	}
	target := filepath.Join(to, filepath.FromSlash(name))
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
	_, err = io.Copy(w, cancel.Reader(ctx, f))
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
