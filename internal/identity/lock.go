package identity

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockWait is how long the directory may be somebody else's. Nobody holds it for longer than a few writes take.
	lockWait  = 5 * time.Second
	lockPause = 10 * time.Millisecond
)

// lock keeps other processes from the directory, with LOCK_SH from changing it, until unlock is called. A process that ends
// lets go of it.
func lock(dir string, how int) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, &FileError{dir, "cannot be read", "create a CA there first", err}
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockPause) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end):
			_ = f.Close()
			return nil, &FileError{dir, "is held by another command", "try again when it has ended", err}
		}
	}
}
