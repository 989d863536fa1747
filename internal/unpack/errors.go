package unpack

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// The kinds of failure, for errors.Is.
var (
	// ErrDamaged is a blob that is not the one of the manifest; fetching it again helps.
	ErrDamaged = errors.New("damaged blob")
	// ErrRefused is an archive that breaks the rules; it will never be unpacked.
	ErrRefused = errors.New("archive refused")
	// ErrTransform is a file that Options.Transform could not take.
	ErrTransform = errors.New("content refused")
	// ErrNoSpace is a full file system or a quota that is used up.
	ErrNoSpace = errors.New("no space")
	// ErrLocal is another failure of this host's file system.
	ErrLocal = errors.New("local file system failure")
)

func damaged(blob manifest.Blob, err error) error {
	return fault.New(fault.Unavailable, "delete the blob's file and fetch it again",
		"blob %.12s is not what the manifest says", blob.Digest).Because(kind(ErrDamaged, err))
}

// refusedf says which rule the archive breaks. Names from the archive are to be given with %q.
func refusedf(format string, args ...any) error {
	return fault.New(fault.Invalid, "nothing was installed from it; let the publisher build the bundle again and run genconf",
		"the archive breaks a rule").Because(kind(ErrRefused, fmt.Errorf(format, args...)))
}

func untransformed(path string, err error) error {
	return fault.New(fault.Invalid, "correct what the cause names, run genconf and retry the host",
		"cannot complete file %.200q", path).Because(kind(ErrTransform, err))
}

func inTheWay(dst string, info os.FileInfo) error {
	return fault.New(fault.Conflict, "move it away, then retry the host", "%s should be a directory", dst).
		Because(kind(ErrLocal, fmt.Errorf("it is a %v", info.Mode().Type())))
}

func localFault(dst string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.New(fault.Unavailable, "make room on its file system (df -h, df -i), then retry the host",
			"cannot unpack to %s", dst).Because(kind(ErrNoSpace, err))
	}
	return fault.New(fault.Unavailable, "check that its directory exists and is on a healthy, writable disk, then retry the host",
		"cannot unpack to %s", dst).Because(kind(ErrLocal, err))
}

func kind(k, err error) error { return fmt.Errorf("%w: %w", k, err) }
