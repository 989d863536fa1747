package artifacts

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// packing names the way in which archives are packed. A blob of the previous generation is taken over only if it was
// packed in the same way, so it changes with whatever changes the bytes: the options below, the order of the entries,
// the version of the compressor. A test notices.
const packing = "tar.zst 1"

// window bounds the memory that unpacking takes on every host.
const window = 4 << 20

// packer writes a tar.zst whose bytes depend on nothing but what is added, in which order.
type packer struct {
	zip *zstd.Encoder
	tar *tar.Writer
}

func newPacker(w io.Writer) (*packer, error) {
	// With one goroutine, blocks are cut alike on every machine.
	zip, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	return &packer{zip, tar.NewWriter(zip)}, nil
}

func (a *packer) add(e entry, content io.Reader) error {
	h := &tar.Header{Name: e.path, Mode: int64(e.mode.Perm()), ModTime: time.Unix(0, 0)}
	switch {
	case e.mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.path+"/"
	case e.mode.Type() == fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.target
	default:
		h.Typeflag, h.Size = tar.TypeReg, e.size
	}
	if err := a.tar.WriteHeader(h); err != nil || content == nil {
		return err
	}
	_, err := io.Copy(a.tar, content)
	return err
}

func (a *packer) close() error {
	if err := a.tar.Close(); err != nil {
		return err
	}
	return a.zip.Close()
}

// pack writes the tree to w. The files are read again, so what is packed is compared with what was scanned.
func (t *tree) pack(ctx context.Context, w io.Writer) error {
	root, err := t.root.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	a, err := newPacker(w)
	if err != nil {
		return err
	}
	// Nothing is left to release when it was closed below.
	defer a.zip.Close()
	for _, e := range t.entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := packEntry(a, root, e); err != nil {
			return fmt.Errorf("%s/%s: %w", t.shown, e.path, err)
		}
	}
	return a.close()
}

func packEntry(a *packer, root *os.Root, e entry) error {
	if !e.mode.IsRegular() {
		return a.add(e, nil)
	}
	f, err := root.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if err := a.add(e, io.TeeReader(io.LimitReader(f, e.size), h)); err != nil {
		return err
	}
	if n, err := f.Read(make([]byte, 1)); n > 0 || err != io.EOF || [sha256.Size]byte(h.Sum(nil)) != e.digest {
		return errChanged
	}
	return nil
}

// file is one rendered file of a role's config blob.
type file struct {
	path    string
	mode    fs.FileMode
	content []byte
}

// packFiles packs rendered files with the directories above them.
func packFiles(files []file) (packed []byte, unpacked int64, entries int, err error) {
	content := map[string][]byte{}
	var list []entry
	dirs := map[string]bool{".": true}
	for _, f := range files {
		for dir := path.Dir(f.path); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
			list = append(list, entry{path: dir, mode: fs.ModeDir | 0o755})
		}
		list = append(list, entry{path: f.path, mode: f.mode, size: int64(len(f.content))})
		content[f.path] = f.content
		unpacked += int64(len(f.content))
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	a, err := newPacker(&b)
	if err != nil {
		return nil, 0, 0, err
	}
	for _, e := range list {
		var r io.Reader
		if e.mode.IsRegular() {
			r = bytes.NewReader(content[e.path])
		}
		if err := a.add(e, r); err != nil {
			return nil, 0, 0, fmt.Errorf("%s: %w", e.path, err)
		}
	}
	if err := a.close(); err != nil {
		return nil, 0, 0, err
	}
	return b.Bytes(), unpacked, len(list), nil
}
