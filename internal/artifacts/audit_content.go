package artifacts

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/unpack"
)

// content reads one blob: its digest and length, and by the rules of the hosts what is packed in it.
func (a *auditor) content(ctx context.Context, c content) error {
	path := filepath.Join(a.dir, filepath.FromSlash(manifest.BlobPath(c.Digest)))
	if c.kind == plain {
		return verifyBlob(ctx, path, c.Blob)
	}
	if err := checkSize(path, c.Blob); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.kind == packageBlob {
		return unpack.Inspect(ctx, f, c.Blob, unpack.Options{}, func(string, io.Reader) error { return nil })
	}
	return inspectConfig(ctx, f, c)
}

// inspectConfig also looks at the text of every file: a placeholder that the manifest does not list would fail on each
// host, and so would a unit that is not there.
func inspectConfig(ctx context.Context, f *os.File, c content) error {
	there := map[string]bool{}
	// Hosts bind each file as a whole, which limits its length; Transform says that it is to be so here.
	opt := unpack.Options{Transform: func(_ string, data []byte) ([]byte, error) { return data, nil }}
	err := unpack.Inspect(ctx, f, c.Blob, opt, func(path string, content io.Reader) error {
		there[path] = true
		if content == nil {
			return nil
		}
		text, err := io.ReadAll(content)
		if err == nil {
			err = late.Audit(c.manifest.Late, text)
		}
		if err != nil {
			return fmt.Errorf("file %.200q: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, u := range c.manifest.Units {
		if !there[u.Path] {
			return fmt.Errorf("the unit %s of role %s is not in it", u.Path, c.manifest.Role)
		}
	}
	return nil
}

// texts looks at the placeholders outside of the config blob.
func (a *auditor) texts(entry manifest.RoleEntry, m *manifest.Manifest) {
	path := manifest.BlobPath(entry.Manifest.Digest)
	for _, s := range m.Steps {
		if err := late.Audit(m.Late, []byte(s.Script)); err != nil {
			a.wrong(path, fmt.Errorf("step %s of role %s: %w", s.Name, m.Role, err))
		}
	}
	for _, c := range m.Checks {
		texts := []string{c.Script}
		for _, v := range c.With {
			texts = append(texts, v)
		}
		for _, text := range texts {
			if err := late.Audit(m.Late, []byte(text)); err != nil {
				a.wrong(path, fmt.Errorf("check %s of role %s: %w", c.Name, m.Role, err))
			}
		}
	}
}

// nothingElse looks for files that have no place in the directory.
func (a *auditor) nothingElse() error {
	return filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(a.dir, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
		case !d.Type().IsRegular():
			a.problem(rel, "remove it", "is neither a file nor a directory (%v)", d.Type())
		case !a.expected[rel]:
			a.problem(rel, "coordinator generations prune removes blobs that nothing needs; remove anything else by hand", "does not belong to any generation here")
		}
		return nil
	})
}

// blobsOf are the blobs of one role.
func blobsOf(m *manifest.Manifest) []manifest.Blob {
	all := []manifest.Blob{m.Config}
	for _, p := range m.Packages {
		for _, b := range p.Blobs {
			all = append(all, b)
		}
	}
	return all
}
