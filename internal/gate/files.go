package gate

import "golang.org/x/sys/unix"

// Files is how many file descriptors this process may have (getrlimit(2), RLIMIT_NOFILE).
func Files() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return int(min(limit.Cur, 1<<20)), nil
}
