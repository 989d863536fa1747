package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// nearest is the path itself or the closest parent that exists.
func nearest(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}

// statfs describes the file system on which the path is or will be.
func statfs(path string) (s unix.Statfs_t, where string, err error) {
	where = nearest(path)
	return s, where, unix.Statfs(where, &s)
}

func cannotLook(path string, err error) finding {
	return undecided("check that the file system is mounted and healthy", "cannot look at the file system of %s: %v", path, err)
}

func probeDiskSpace(_ context.Context, _ Environment, v values) finding {
	path, least, inodes := value[string](v, "path"), value[int64](v, "min"), value[int64](v, "inodes")
	s, where, err := statfs(path)
	if err != nil {
		return cannotLook(path, err)
	}
	free := int64(s.Bavail) * int64(s.Bsize)
	detail := fmt.Sprintf("%s: %s of %s free for all users, %d of %d inodes free", where,
		FormatBytes(free), FormatBytes(int64(s.Blocks)*int64(s.Bsize)), s.Ffree, s.Files)
	var f finding
	// A file system that makes inodes as it needs them says 0 of 0.
	switch limited := s.Files > 0; {
	case free < least:
		f = failed("free "+FormatBytes(least-free)+" on the file system of "+where+", or mount a larger one",
			"%s has %s free, %s are needed", path, FormatBytes(free), FormatBytes(least))
	case limited && int64(s.Ffree) < max(inodes, 1):
		f = failed("remove small files from the file system of "+where+" (df -i), or mount another one",
			"%s has %d inodes free, %d are needed", path, s.Ffree, max(inodes, 1))
	default:
		f = fine("%s has %s free, %s are needed", path, FormatBytes(free), FormatBytes(least))
	}
	f.detail = detail
	return f
}

func probeWritable(_ context.Context, _ Environment, v values) finding {
	path := value[string](v, "path")
	s, where, err := statfs(path)
	if err != nil {
		return cannotLook(path, err)
	}
	if info, err := os.Stat(where); err != nil || !info.IsDir() {
		return failed("move "+where+" away", "%s cannot be made, since %s is not a directory", path, where)
	}
	switch err := unix.Access(where, unix.W_OK|unix.X_OK); {
	case errors.Is(err, unix.EROFS):
		return failed("mount it writable: mount -o remount,rw", "the file system of %s is read-only", path)
	case errors.Is(err, unix.EPERM):
		return failed("lsattr -d "+where+" shows it, chattr -i "+where+" takes it away", "%s is immutable", where)
	case err != nil:
		return failed("run the bootstrap agent as root, and check the permissions of "+where, "%s is not writable: %v", where, err)
	}
	if value[bool](v, "exec") && s.Flags&unix.ST_NOEXEC != 0 {
		return failed("mount the file system of "+where+" without noexec", "programs in %s cannot run: its file system is mounted noexec", path)
	}
	return fine("%s is writable", where)
}

func probeAbsent(_ context.Context, env Environment, v values) finding {
	path := value[string](v, "path")
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fine("%s does not exist", path)
	case err != nil:
		return undecided("check the file system of "+path, "cannot look at %s: %v", path, err)
	case env.Resuming:
		return fine("%s belongs to this installation, which is going on", path)
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return undecided("check the file system of "+path, "cannot look at %s: %v", path, err)
		}
		// An empty file system may be mounted there on purpose.
		if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "lost+found" }) {
			return fine("%s is empty", path)
		}
	}
	return failed("uninstall what is there first, or move "+path+" away", "%s exists already", path)
}

func probeFileSystem(_ context.Context, env Environment, v values) finding {
	path, types := value[string](v, "path"), value[[]string](v, "types")
	where, err := filepath.EvalSymlinks(nearest(path))
	if err != nil {
		return cannotLook(path, err)
	}
	m, err := env.mountOf(where)
	if err != nil {
		return cannotLook(path, err)
	}
	want := strings.Join(types, " or ")
	if !slices.Contains(types, m.kind) {
		return failed(fmt.Sprintf("mount a file system of type %s at %s", want, path), "%s is on %s, %s is needed", path, m, want)
	}
	if value[bool](v, "ftype") {
		typed, err := holdsTypes(where)
		if err != nil {
			return cannotLook(path, err)
		}
		if !typed {
			return failed("make the file system anew with mkfs.xfs -n ftype=1", "%s is on %s without ftype=1", path, m)
		}
	}
	return fine("%s is on %s", path, m)
}

// mount is a line of /proc/self/mountinfo.
type mount struct{ at, kind string }

func (m mount) String() string { return fmt.Sprintf("%s (mounted at %s)", m.kind, m.at) }

// mountOf is the mount that the path is on: of the mounts above it the deepest, of these the last.
func (e Environment) mountOf(path string) (mount, error) {
	f, err := os.Open(e.Root + "/proc/self/mountinfo")
	if err != nil {
		return mount{}, err
	}
	defer f.Close()
	var best mount
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(place) < 5 || len(kind) < 1 {
			continue
		}
		at := unescape(place[4])
		if within(path, at) && len(at) >= len(best.at) {
			best = mount{at, kind[0]}
		}
	}
	if err := lines.Err(); err != nil {
		return mount{}, err
	}
	if best.at == "" {
		return mount{}, errors.New("it is not in /proc/self/mountinfo")
	}
	return best, nil
}

func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// unescape undoes the octal escapes of blanks in mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// holdsTypes says whether the directory's entries carry their types, by looking at any one: every directory has ".".
func holdsTypes(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	buf := make([]byte, 8<<10)
	n, err := unix.Getdents(int(f.Fd()), buf)
	if err != nil {
		return false, err
	}
	// struct linux_dirent64: inode, offset, length, type, name.
	const typeAt, nameAt = 18, 19
	if n > nameAt {
		return buf[typeAt] != unix.DT_UNKNOWN, nil
	}
	return false, errors.New("the directory has no entries")
}
