package bundle

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"muster/internal/fault"
)

//go:embed all:scaffold
var scaffold embed.FS

// scaffoldName is what names a bundle and a cluster at once.
var scaffoldName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Init writes a bundle to start from, named after the directory, which must be empty or absent. address is where hosts
// reach the coordinator. It gives the paths of what was written.
func Init(dir, address string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(abs)
	if !scaffoldName.MatchString(name) {
		return nil, fault.New(fault.Invalid, "name the directory after the software, in at most 32 lower-case letters, digits and hyphens",
			"a bundle cannot be named %q", name)
	}
	entries, err := os.ReadDir(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.MkdirAll(abs, 0o755)
	case err == nil && len(entries) > 0:
		return nil, fault.New(fault.Conflict, "name a directory that is empty or does not exist", "%s is not empty", dir)
	}
	if err != nil {
		return nil, err
	}
	var written []string
	err = fs.WalkDir(scaffold, "scaffold", func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel("scaffold", path)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(abs, rel), 0o755))
		}
		text, err := scaffold.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(string(text), "#!") {
			mode = 0o755
		}
		written = append(written, rel)
		filled := strings.NewReplacer("@NAME@", name, "@ADDRESS@", address).Replace(string(text))
		return writeFile(filepath.Join(abs, rel), filled, mode)
	})
	if err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	return written, nil
}

func writeFile(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(mode), f.Close())
}
