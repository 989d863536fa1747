package unpack_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"muster/internal/unpack"
)

// FuzzUnpack takes any bytes as an archive, compressed by itself or not, and looks at what became of them.
func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(dir("d/"), file("d/f", "x"), symlink("d/l", "f")), true)
	f.Add(tarOf(file("../x", "x")), true)
	f.Add(tarOf(symlink("l", "/etc"), file("l/x", "x")), true)
	f.Add(tarOf(dir("a/"), symlink("a/up", ".."), symlink("b", "a/up")), true)
	f.Add(tarOf(pax("path", "a/b"), moded("x", 0o4755)), true)
	f.Add(tarOf(longLink('K', "t"), symlink("s", "s")), true)
	f.Add(compress(tarOf(file("f", "x"))), false)
	f.Add(bigWindow(), false)
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		packed := data
		if raw {
			packed = compress(data)
		}
		blob := blobOf(packed)
		blob.Unpacked, blob.Entries = 64<<10, 20
		parent := memoryDir(t)
		dst := filepath.Join(parent, "in", "dst")
		if err := os.Mkdir(filepath.Dir(dst), 0o700); err != nil {
			t.Fatal(err)
		}
		err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, dst, unpack.Options{})
		wantNames(t, parent, "in")
		if err != nil {
			wantNames(t, filepath.Dir(dst))
			return
		}
		wantNames(t, filepath.Dir(dst), "dst")
		var total int64
		err = filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			switch mode := info.Mode(); {
			case mode.IsRegular():
				total += info.Size()
				if mode&^0o755 != 0 {
					t.Errorf("%q has mode %v", path, mode)
				}
			case mode.IsDir():
				if mode&^(0o755|fs.ModeDir) != 0 {
					t.Errorf("%q has mode %v", path, mode)
				}
			case mode.Type() == fs.ModeSymlink:
				// Wherever it leads, if anywhere, is inside.
				if end, err := filepath.EvalSymlinks(path); err == nil {
					if rel, err := filepath.Rel(dst, end); err != nil || !filepath.IsLocal(rel) {
						t.Errorf("%q leads to %q", path, end)
					}
				}
			default:
				t.Errorf("%q is a %v", path, mode)
			}
			return nil
		})
		if err != nil || total > blob.Unpacked {
			t.Errorf("%d bytes were unpacked (%v)", total, err)
		}
	})
}

// memoryDir is a directory in memory if there is one: syncing to disk would leave no time to try anything.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "unpack-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
