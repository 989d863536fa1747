package artifacts

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"muster/internal/fault"
)

// unwritable adds what to do to an error of the place where the generation is written. What lies there already is as it
// was: a stage is written beside it first.
func unwritable(out string, err error) error {
	parent := filepath.Dir(out)
	var remedy string
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		remedy = "make room in " + parent + ", or name a directory on another disk with --out; what was in " + out + " is untouched"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		remedy = "run this as a user who may write to " + parent + " and owns " + out + ", or name another directory with --out"
	default:
		return err
	}
	return fault.New(fault.Conflict, remedy, "the generation cannot be written beside %s", out).Because(err)
}
