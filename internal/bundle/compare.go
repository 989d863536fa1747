package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// compare says where a directory differs from the index.
func (x Index) compare(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	want := make(map[string]Entry, len(x.Entries))
	for _, e := range x.Entries {
		want[strings.TrimSuffix(e.Path, "/")] = e
	}
	if len(want) != len(x.Entries) {
		return fmt.Errorf("its index names something twice")
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." || name == IndexName {
			return err
		}
		e, ok := want[name]
		if !ok {
			return fmt.Errorf("%.200q is not in its index", name)
		}
		delete(want, name)
		if err := e.compare(root, name, d); err != nil {
			return fmt.Errorf("%.200q is not what its index says: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name := range want {
		return fmt.Errorf("%.200q is in its index and nowhere else", name)
	}
	return nil
}

func (e Entry) compare(root *os.Root, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case e.Directory() != mode.IsDir() || (e.Target != "") != (mode.Type() == fs.ModeSymlink):
		return fmt.Errorf("it is %v", mode.Type())
	case e.Directory():
		return nil
	case e.Target != "":
		if target, err := root.Readlink(name); err != nil || target != e.Target {
			return fmt.Errorf("it is a link to %.200q", target)
		}
		return nil
	case uint32(mode.Perm()) != e.Mode || info.Size() != e.Size:
		return fmt.Errorf("it has mode %v and %d bytes", mode.Perm(), info.Size())
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != string(e.SHA256) {
		return fmt.Errorf("its SHA-256 is %s", got)
	}
	return nil
}
