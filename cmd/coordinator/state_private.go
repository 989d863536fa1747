package main

import (
	"os"
	"syscall"

	"muster/internal/fault"
)

// checkState refuses a state directory in which another user could put a store, keys or artifacts of his own into the
// place of the coordinator's.
func checkState(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fault.New(fault.Denied, "run chmod 700 "+dir+", and see that nothing in it is somebody else's",
			"the state directory %s can be written by others than its owner (mode %v)", dir, info.Mode().Perm())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Getuid() {
		return fault.New(fault.Denied, "run the coordinator as the owner, or name another directory with --state",
			"the state directory %s belongs to the user with the number %d", dir, owner.Uid)
	}
	return nil
}
