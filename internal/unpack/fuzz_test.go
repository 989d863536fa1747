package unpack_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"muster/internal/unpack"
)

// FuzzUnpack takes any bytes as an archive, compressed by itself or not, and looks at what became of them.
func FuzzUnpack(f *testing.F) {
	tars := [][]byte{
		tarOf(dir("d/"), file("d/f", "x"), symlink("d/l", "f")), tarOf(file("../x", "x")), tarOf(file("/x", "x")), tarOf(file("d//./x", "x")),
		tarOf(symlink("l", "/etc"), file("l/x", "x")), tarOf(dir("a/"), symlink("a/up", ".."), symlink("b", "a/up")), tarOf(symlink("a", "b"), symlink("b", "a")),
		tarOf(symlink("l", "x\x00y")), tarOf(symlink("l", "")), tarOf(symlink("l", "x\xff")), tarOf(pax("path", "a/b"), moded("x", 0o4755)), tarOf(longLink('K', "t"), symlink("s", "s")),
		tarOf(longLink('L', "a/long/name"), file("x", "x")), tarOf(special("c", '3')), tarOf(special("b", '4')), tarOf(special("p", '6')), tarOf(special("h", '1')),
		tarOf(file("f", "nope")), tarOf(file("f", "x"), file("f", "y")), tarOf(file("f", "x"), file("f/g", "y")), tarOf(pax("GNU.sparse.major", "1"), file("f", "x")), tarOf(file("f", "x"))[:600],
		append(tarOf(file("f", "x")), "more"...),
	}
	for _, text := range tars {
		f.Add(text, true, false)
		f.Add(text, true, true)
	}
	whole := compress(tars[0])
	for _, text := range [][]byte{whole, whole[:len(whole)-3], append(append([]byte{}, whole...), whole...), append(append([]byte{}, whole...), "more"...), bigWindow(), nil} {
		f.Add(text, false, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, raw, transformed bool) {
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
		var options unpack.Options
		if transformed {
			options.Transform = func(_ string, data []byte) ([]byte, error) {
				if bytes.HasPrefix(data, []byte("no")) {
					return nil, errors.New("no")
				}
				return append(data, '+'), nil
			}
		}
		err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, dst, options)
		wantNames(t, parent, "in")
		// Whoever verifies a generation has to come to the same result as the hosts that unpack it.
		looked := unpack.Inspect(t.Context(), bytes.NewReader(packed), blob, options, func(string, io.Reader) error { return nil })
		if !transformed && (looked == nil) != (err == nil) {
			t.Errorf("unpacking says %v, looking through %v", err, looked)
		}
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
		if err != nil || total > blob.Unpacked+int64(blob.Entries) {
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
