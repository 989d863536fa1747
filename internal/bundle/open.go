package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/unpack"
)

// Named says whether path is named like a bundle in one file and is no directory.
func Named(path string) bool {
	info, err := os.Stat(path)
	return strings.HasSuffix(path, Ending) && (err != nil || !info.IsDir())
}

// The bounds of what is unpacked: no software is larger than so many times its archive, past the first bytes.
const (
	freeBytes = 64 << 20
	maxRatio  = 250
)

// Open unpacks the bundle in the file path into a private directory of this user and gives that. Unless it is empty,
// pinned is the digest that the file must have; it is compared before anything is unpacked. A file that was opened
// before is not unpacked again. The errors are faults.
func Open(path string, pinned manifest.Digest) (dir string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.New(fault.NotFound, "check the path and the permissions", "the bundle %s cannot be read", path).Because(inner(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fault.New(fault.Invalid, "name a file that `coordinator bundle build` has made", "the bundle %s is not a regular file", path)
	}
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return "", fault.New(fault.Unavailable, "check the disk", "the bundle %s cannot be read", path).Because(err)
	}
	digest := manifest.Digest(hex.EncodeToString(h.Sum(nil)))
	if pinned != "" && digest != pinned {
		return "", fault.New(fault.Denied, "get the bundle again from its publisher; if it is to be another one, compare its SHA-256 with what the publisher says and write that",
			"the SHA-256 of %s is %s, and %s is pinned", path, digest, pinned).Because(ErrPinned)
	}
	cache, unlock, err := openCache()
	if err != nil {
		return "", fault.New(fault.Unavailable, "set XDG_CACHE_HOME to a directory of your own with room for the bundle", "the bundle cannot be unpacked").Because(err)
	}
	defer unlock()
	dir = filepath.Join(cache, string(digest))
	if _, err := os.Lstat(dir); err == nil {
		used(cache, dir)
		return dir, nil
	}
	if err := unpackChecked(f, manifest.Blob{Digest: digest, Size: size}, dir); err != nil {
		if errors.Is(err, unpack.ErrNoSpace) || errors.Is(err, unpack.ErrLocal) {
			return "", err
		}
		return "", fault.New(fault.Invalid, "get it again from its publisher; `coordinator bundle build` makes such files", "%s is not a bundle that can be used", path).Because(err)
	}
	used(cache, dir)
	return dir, nil
}

// ErrPinned is a bundle whose digest is not the pinned one.
var ErrPinned = errors.New("it is another file")

func inner(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// unpackChecked unpacks by the rules for blobs and then compares what is there with the index. The directory has its
// name only when that went well.
func unpackChecked(f *os.File, blob manifest.Blob, dir string) error {
	index, length, err := readIndex(f)
	if err != nil {
		return err
	}
	blob.Unpacked, blob.Entries = index.unpacked()+length, len(index.Entries)+1
	if most := freeBytes + maxRatio*blob.Size; blob.Unpacked > most {
		return fmt.Errorf("it would be %d bytes long unpacked, which no software of its size is", blob.Unpacked)
	}
	unchecked := dir + ".unchecked"
	if err := os.RemoveAll(unchecked); err != nil {
		return err
	}
	if err := unpack.Unpack(context.Background(), f, blob, unchecked, unpack.Options{Mode: 0o700}); err != nil {
		return err
	}
	err = index.compare(unchecked)
	if err == nil {
		err = os.Rename(unchecked, dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(unchecked))
	}
	return nil
}

// readIndex reads the first entry of the archive.
func readIndex(f *os.File) (Index, int64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Index{}, 0, err
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(unpack.MaxWindow))
	if err != nil {
		return Index{}, 0, err
	}
	defer z.Close()
	tr := tar.NewReader(z)
	h, err := tr.Next()
	switch {
	case err != nil:
		return Index{}, 0, fmt.Errorf("it is no tar.zst: %w", err)
	case h.Name != IndexName || h.Typeflag != tar.TypeReg:
		return Index{}, 0, errors.New("it does not begin with the index of a bundle")
	case h.Size > maxIndex:
		return Index{}, 0, fmt.Errorf("its index has %d bytes, at most %d are read", h.Size, maxIndex)
	}
	data, err := io.ReadAll(tr)
	if err != nil {
		return Index{}, 0, fmt.Errorf("its index cannot be read: %w", err)
	}
	index, err := decode(data)
	return index, h.Size, err
}

// openCache makes and locks the directory for unpacked bundles. Nobody else may write to it: what lies there is taken
// for what was checked.
func openCache() (dir string, unlock func(), err error) {
	base, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(base, "muster", "bundles")
	} else {
		// A service without a home still has a place of its own.
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("muster-bundles-%d", os.Getuid()))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", nil, &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Getuid() || st.Mode&0o022 != 0 {
		return "", nil, fmt.Errorf("%s is not a directory that only this user can write to", dir)
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return dir, func() { _ = f.Close() }, nil
}
