package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"muster/internal/cancel"
	"muster/internal/unpack"
)

// Problem is one thing in an archive, or the archive itself where Path is empty, that cannot be taken.
type Problem struct{ Path, Message, Remedy string }

// The bounds of an archive. What is larger than ratio times the archive, past the first bytes, is no software.
const (
	maxEntries  = 500_000
	maxBytes    = 16 << 30
	freeBytes   = 64 << 20
	maxRatio    = 250
	maxProblems = 50
	// maxPart is the longest name of a file in its directory.
	maxPart = 255
)

// Extract puts what is selected of the archive f, named name, into the directory into, which is empty and nobody
// else's. All that cannot be taken is told at once; then what is in the directory is of no use. An error is one of this
// machine.
func Extract(ctx context.Context, f *os.File, name string, sel Selection, into *os.Root) ([]Problem, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var r io.Reader = cancel.Reader(ctx, f)
	if strings.HasSuffix(name, ".deb") {
		if r, err = debData(r); err != nil {
			return []Problem{broken(err)}, nil
		}
	}
	stream, err := decompress(ctx, r)
	if err != nil {
		return []Problem{broken(err)}, nil
	}
	defer stream.Close()
	x := &extraction{sel: sel, into: into, nodes: map[string]node{}, files: map[string]string{}, used: make([]bool, len(sel.Include))}
	x.left = min(maxBytes, freeBytes+maxRatio*info.Size())
	limited := &bounded{r: stream, left: x.left}
	for tr := tar.NewReader(limited); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = x.entry(h, tr)
		}
		var local *localError
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &local):
			return nil, local.err
		case err != nil:
			x.problems = append(x.problems, broken(err))
			return x.problems, nil
		case len(x.problems) >= maxProblems:
			return x.problems, nil
		}
	}
	x.unmatched()
	return x.problems, nil
}

func broken(err error) Problem {
	if errors.Is(err, errNoXZ) {
		return Problem{Message: err.Error(), Remedy: "apt-get install xz-utils, or dnf install xz"}
	}
	return Problem{Message: "the archive cannot be read: " + err.Error(), Remedy: "get it again from where it came from, and see that it is an archive of the kind that its name says"}
}

// node is what a name that was taken stands for.
type node int

const (
	directory node = iota + 1
	regular
	link
)

// extraction is what has been read so far.
type extraction struct {
	sel     Selection
	into    *os.Root
	entries int
	// left is how many bytes files may still have: a sparse one is longer than what the archive has of it.
	left     int64
	nodes    map[string]node
	files    map[string]string // regular files by their name in the archive
	found    bool              // something lies below the prefix
	used     []bool            // the patterns that took something
	problems []Problem
}

// localError is a failure to write: the archive is not to blame.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

func local(err error) error {
	if err == nil {
		return nil
	}
	return &localError{err}
}

func (x *extraction) refuse(name, message, remedy string) {
	x.problems = append(x.problems, Problem{Path: name, Message: message, Remedy: remedy})
}

const cleanRemedy = "have the archive built anew: one like this is damaged, or meant to do damage"

func (x *extraction) entry(h *tar.Header, content io.Reader) error {
	if x.entries++; x.entries > maxEntries {
		return fmt.Errorf("it has more than %d entries", maxEntries)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment, such as git archive writes
	}
	full, message := cleanName(h.Name)
	if message != "" {
		x.refuse(fmt.Sprintf("%.200q", h.Name), message, cleanRemedy)
		return nil
	}
	if full == "" {
		return nil // the top itself
	}
	name, below := x.sel.under(full)
	if !below {
		return nil
	}
	x.found = true
	by, ok := x.sel.included(name)
	for _, i := range by {
		x.used[i] = true
	}
	if !ok {
		return nil
	}
	return x.take(h, full, path.Join(x.sel.Into, name), content)
}

// take writes one entry that is selected.
func (x *extraction) take(h *tar.Header, full, name string, content io.Reader) error {
	kind := regular
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeLink:
	case tar.TypeDir:
		kind = directory
	case tar.TypeSymlink:
		kind = link
	default:
		x.refuse(full, "is neither a file nor a directory nor a link ("+typeName(h.Typeflag)+")", "leave it out by include, or have the archive built without it")
		return nil
	}
	if kind == regular && h.Mode&0o6000 != 0 {
		x.refuse(full, "is setuid or setgid, which a package cannot carry", "leave it out by include; let the unit give the program what it needs (User=, AmbientCapabilities=)")
		return nil
	}
	if target := h.Linkname; kind == link && (target == "" || len(target) > unpack.MaxName || strings.ContainsRune(target, 0)) {
		// Where it leads is looked at by those who read what was taken; this is no target at all.
		x.refuse(full, fmt.Sprintf("is a link to %.200q, which is no path", target), cleanRemedy)
		return nil
	}
	if ok, err := x.place(full, name, kind); !ok || err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return nil // made by place
	case tar.TypeSymlink:
		return local(x.into.Symlink(h.Linkname, name))
	case tar.TypeLink:
		return x.hardLink(full, name, h.Linkname)
	}
	if x.left -= h.Size; x.left < 0 {
		return errBomb
	}
	x.files[full] = name
	mode := fs.FileMode(0o644)
	if h.Mode&0o100 != 0 {
		mode = 0o755
	}
	f, err := x.into.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return local(err)
	}
	readErr, writeErr := unpack.Copy(f, content)
	return errors.Join(readErr, local(errors.Join(writeErr, f.Chmod(mode), f.Close())))
}

// place makes the way to a name, and says whether the name is free. Only directories that were made here are on it.
func (x *extraction) place(full, name string, kind node) (bool, error) {
	for i := range name {
		if name[i] != '/' {
			continue
		}
		if ok, err := x.mkdir(name[:i]); err != nil {
			return false, err
		} else if !ok {
			x.refuse(full, fmt.Sprintf("is to be written through %.200q, which is no directory", name[:i]), cleanRemedy)
			return false, nil
		}
	}
	if kind == directory {
		ok, err := x.mkdir(name)
		if err == nil && !ok {
			x.refuse(full, "is there twice, and not as a directory the first time", cleanRemedy)
		}
		return ok, err
	}
	if x.nodes[name] != 0 {
		x.refuse(full, "is there twice", cleanRemedy)
		return false, nil
	}
	x.nodes[name] = kind
	return true, nil
}

func (x *extraction) mkdir(name string) (bool, error) {
	switch x.nodes[name] {
	case directory:
		return true, nil
	case 0:
		x.nodes[name] = directory
		return true, local(x.into.Mkdir(name, 0o755))
	}
	return false, nil
}

// hardLink gives a file a second name. It must have been taken under the first.
func (x *extraction) hardLink(full, name, target string) error {
	at, message := cleanName(target)
	if first, ok := x.files[at]; ok && message == "" {
		x.files[full] = first
		return local(x.into.Link(first, name))
	}
	x.refuse(full, fmt.Sprintf("is a hard link to %.200q, which is not taken from the archive before it", target), "include the file that it is a link to, or leave both out")
	return nil
}

// unmatched tells what was asked for and is not there.
func (x *extraction) unmatched() {
	switch {
	case len(x.problems) > 0 && !x.found: // what was refused may be what is missed
	case x.entries == 0:
		x.refuse("", "the archive is empty", "get it again from where it came from")
	case !x.found && x.sel.Prefix != "":
		x.refuse("", fmt.Sprintf("the archive has nothing below the prefix %q", x.sel.Prefix), "list the archive (tar -tf, dpkg-deb -c) and correct the prefix")
	case !x.found:
		x.refuse("", fmt.Sprintf("nothing remains of the archive when %d leading directories are stripped", x.sel.Strip), "list the archive (tar -tf, dpkg-deb -c) and correct strip")
	default:
		for i, used := range x.used {
			if !used {
				x.refuse("", fmt.Sprintf("the pattern %q matches nothing in the archive", x.sel.Include[i]), "list the archive (tar -tf, dpkg-deb -c) and correct the pattern; it is compared with the names after prefix or strip")
			}
		}
	}
}

// cleanName gives a name without the ./ that tar writes before it, or what is wrong with it. The top is "".
func cleanName(raw string) (name, message string) {
	name = strings.TrimSuffix(raw, "/")
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	switch {
	case raw == "":
		return "", "an entry has no name"
	case name == "." || name == "":
		if strings.HasPrefix(raw, "/") {
			return "", "the name is absolute"
		}
		return "", ""
	case len(name) > unpack.MaxName:
		return "", fmt.Sprintf("the path has %d bytes, and a package can carry %d", len(name), unpack.MaxName)
	}
	if bad := unpack.BadName(name); bad != "" {
		return "", "the name " + bad
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPart {
			return "", fmt.Sprintf("a part of the name has %d bytes, and file systems take %d", len(part), maxPart)
		}
	}
	return name, ""
}

func typeName(flag byte) string {
	switch flag {
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a pipe"
	case tar.TypeGNUSparse:
		return "a sparse file"
	}
	return fmt.Sprintf("type %q", flag)
}

var errBomb = errors.New("it is many times larger than any software of its size; a bomb")

// bounded ends an archive that becomes too long.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBomb
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
