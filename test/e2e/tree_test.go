//go:build e2e

package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a host's file system: for each path all that a person could find changed there. The times of directories are
// not compared; whoever puts a file somewhere and takes it away again changes them.
type tree map[string]string

// imageDigests are those of the files in the image that all hosts share, by path. A host's own files, and those of the
// image that it has touched, are in its upper directory.
var imageDigests = make(map[string]string)

// snapshot reads the whole tree of a host from outside.
func (l *lab) snapshot(host int) tree {
	l.t.Helper()
	root, upper := l.root(host), l.upper(host)
	t := make(tree)
	digest := func(path string) (string, error) {
		name := strings.TrimPrefix(path, root)
		if _, err := os.Lstat(upper + name); err == nil {
			return hash(path)
		}
		if known := imageDigests[name]; known != "" {
			return known, nil
		}
		made, err := hash(path)
		imageDigests[name] = made
		return made, err
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return skipGone(err)
		}
		entry, err := describe(path, digest)
		if err != nil {
			return skipGone(err)
		}
		t[strings.TrimPrefix(path, root)] = entry
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if len(t) < 1000 {
		l.t.Fatalf("host%d has only %d files: that is no file system", host, len(t))
	}
	return t
}

// skipGone passes over what vanished while it was looked at.
func skipGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func describe(path string, digest func(path string) (string, error)) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	owner := info.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf("%v %d:%d", info.Mode(), owner.Uid, owner.Gid)
	switch {
	case info.Mode().IsRegular():
		sum, err := digest(path)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(" %d bytes %s", info.Size(), sum)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		text += " -> " + target
	}
	attributes := make([]byte, 4096)
	n, err := unix.Llistxattr(path, attributes)
	if err != nil && err != unix.ENOTSUP {
		return "", err
	}
	return text + " " + strings.ReplaceAll(string(attributes[:max(n, 0)]), "\x00", " "), nil
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// changes lists what differs, except below the paths that match.
func (before tree) changes(after tree, except ...string) []string {
	allowed := regexp.MustCompile(`^(` + strings.Join(append(except, "$."), "|") + `)(/.*)?$`)
	var list []string
	for path := range maps.Keys(merge(before, after)) {
		was, is := before[path], after[path]
		if was != is && !allowed.MatchString(path) {
			list = append(list, fmt.Sprintf("%s: was %q, is %q", path, was, is))
		}
	}
	slices.Sort(list)
	return list
}

func merge(a, b tree) tree {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// installed are the paths that an installation is allowed to make, the last one by systemctl enable.
var installed = []string{
	`/opt/demo`, `/var/lib/demo`, `/etc/systemd/system/demo[^/]*`,
	`/etc/systemd/system/multi-user\.target\.wants/demo\.target`,
}

// systemdsOwn are what systemd writes on its own while a host runs: the private /tmp of services that ask for one.
var systemdsOwn = []string{`/(var/)?tmp/systemd-private-[^/]*`}

func wantNoChange(t *testing.T, what string, changes []string) {
	t.Helper()
	if len(changes) > 0 {
		t.Errorf("%s: %d paths differ:\n  %s", what, len(changes), strings.Join(changes, "\n  "))
	}
}

var tokenText = regexp.MustCompile(`mt1\.[a-z2-7]{12}\.[A-Za-z0-9_-]{8}`)

// tokens finds join tokens in the files of a host's disk.
func (l *lab) tokens(host int) []string {
	l.t.Helper()
	var found []string
	err := filepath.WalkDir(l.upper(host), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return skipGone(err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return skipGone(err)
		}
		if tokenText.Match(data) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

// wantNoAgent fails when anything of the bootstrap agent stays on a host. It leaves a moment after the host is done.
func (l *lab) wantNoAgent(host int) {
	l.t.Helper()
	eventually(l.t, 30*time.Second, fmt.Sprintf("nothing of the bootstrap agent is left on host%d", host), func() error {
		left, err := l.agentLeft(host)
		if err == nil && left != "" {
			err = errors.New(left)
		}
		return err
	})
}

// agentLeft is what there is of the bootstrap agent: processes, units known to systemd, files.
func (l *lab) agentLeft(host int) (string, error) {
	return l.sh(host, `
		for exe in /proc/[0-9]*/exe; do case $(readlink "$exe" 2>/dev/null) in *bootstrap-agent*) ls -l "$exe" ;; esac; done
		[ ! -d /run/systemd/system ] || {
			systemctl list-units --all --no-legend 'bootstrap-agent*'
			systemctl list-unit-files --no-legend 'bootstrap-agent*'
		}
		find / -xdev \( -name '*bootstrap-agent*' -o -name 'muster*' -o -name '.muster*' \) -print`)
}
