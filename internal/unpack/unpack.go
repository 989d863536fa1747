package unpack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/cancel"
	"muster/internal/durable"
	"muster/internal/manifest"
)

// Options change how a blob is unpacked. The zero value is right for a package.
type Options struct {
	// MaxEntries, MaxBytes and MaxDepth are refused beyond, whatever the manifest says: 500,000 entries, 64 GiB and
	// 255 levels if 0.
	MaxEntries int
	MaxBytes   int64
	MaxDepth   int
	// Mode is that of the directory itself, 0755 if 0.
	Mode os.FileMode
	// UID and GID own everything when this process is root; otherwise it all belongs to this process.
	UID, GID int
	// Transform, if set, gives the content of each regular file from its path and the content in the archive. No
	// file may then be longer than MaxTransform before, or four times that after.
	Transform func(path string, data []byte) ([]byte, error)
}

// MaxTransform is the longest file that Options.Transform is given.
const MaxTransform = 1 << 20

// MaxWindow is the largest zstd window that is accepted; it bounds the memory that unpacking takes.
const MaxWindow = 8 << 20

// epoch is the modification time of everything, so that equal blobs make equal directories.
var epoch = time.Unix(0, 0)

// Unpack makes the directory dst from the blob that r holds. If dst exists, it is complete and Unpack does nothing, so
// dst must be named by all that its content depends on. Everything is owned by root and nothing is writable by others:
// of a mode, 0755 remains, and the owner of a directory always has access.
//
// What an interrupted Unpack left is removed first; the same dst must not be unpacked twice at a time. The errors are
// faults with a remedy; the causes that begin with Err say which kind.
func Unpack(ctx context.Context, r io.ReadSeeker, blob manifest.Blob, dst string, opt Options) error {
	dst = filepath.Clean(dst)
	switch info, err := os.Lstat(dst); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return inTheWay(dst, info)
	case !errors.Is(err, fs.ErrNotExist):
		return localFault(dst, err)
	}
	staging := stagingPath(dst)
	if err := durable.RemoveAll(staging); err != nil {
		return localFault(dst, err)
	}
	lim, err := newLimits(blob, opt)
	if err != nil {
		return err
	}
	if err := verify(ctx, r, blob); err != nil {
		return err
	}
	if err := read(ctx, r, lim, nil); err != nil {
		return err
	}
	if err := roomLeft(dst, blob); err != nil {
		return err
	}
	if err := extract(ctx, r, lim, staging, opt); err != nil {
		// The cause matters more than what is left; the next run removes that.
		os.RemoveAll(staging)
		return err
	}
	if err := durable.Rename(staging, dst); err != nil {
		os.RemoveAll(staging)
		return localFault(dst, err)
	}
	return nil
}

// stagingPath is always the same for a dst, so that the next run finds what a crash left, and lies beside it, so that
// it can be renamed.
func stagingPath(dst string) string {
	return filepath.Join(filepath.Dir(dst), durable.TempPrefix+"unpack-"+filepath.Base(dst))
}

// verify compares the blob with its digest before anything in it is interpreted.
func verify(ctx context.Context, r io.ReadSeeker, blob manifest.Blob) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return damaged(blob, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(cancel.Reader(ctx, r), max(blob.Size, 0)+1))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return damaged(blob, err)
	case n != blob.Size:
		return damaged(blob, fmt.Errorf("it has not the %d bytes of the manifest", blob.Size))
	case hex.EncodeToString(h.Sum(nil)) != string(blob.Digest):
		return damaged(blob, errors.New("its SHA-256 is another one"))
	}
	return nil
}

// roomLeft finds out before the first file that the content cannot fit.
func roomLeft(dst string, blob manifest.Blob) error {
	parent := filepath.Dir(dst)
	var s unix.Statfs_t
	if err := unix.Statfs(parent, &s); err != nil {
		return localFault(dst, &fs.PathError{Op: "statfs", Path: parent, Err: err})
	}
	if free := s.Bavail * uint64(s.Bsize); uint64(blob.Unpacked) > free {
		return localFault(dst, fmt.Errorf("%d bytes are needed and %d are free: %w", blob.Unpacked, free, unix.ENOSPC))
	}
	// Some file systems have no fixed number of files and say 0.
	if s.Files > 0 && uint64(blob.Entries) > s.Ffree {
		return localFault(dst, fmt.Errorf("%d inodes are needed and %d are free: %w", blob.Entries, s.Ffree, unix.ENOSPC))
	}
	return nil
}
