package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"muster/internal/cancel"
	"muster/internal/fault"
)

// sink takes the entries of an archive that keep the rules. A directory may come a second time, with its mode, if it
// came as an implied one before.
type sink interface {
	directory(name string, perm fs.FileMode) error
	file(name string, perm fs.FileMode, content io.Reader) error
	link(name, target string) error
}

// read reads the archive from its beginning to its end, and gives the entries to the sink if there is one.
func read(ctx context.Context, r io.ReadSeeker, lim limits, to sink) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return refusedf("%w", err)
	}
	s, err := newStream(cancel.Reader(ctx, r), lim)
	if err != nil {
		return refusedf("%w", err)
	}
	defer s.close()
	a := archive{lim: lim, names: names{nodes: make(map[string]node), lim: lim}, sink: to}
	tr := tar.NewReader(s)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = a.entry(h, tr)
		}
		if err != nil {
			return refusal(ctx, err)
		}
		s.zeros = 0
	}
	if err := s.end(); err != nil {
		return refusal(ctx, err)
	}
	return nil
}

// refusal makes every failure but those of the sink and the context one of the archive.
func refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var own *fault.Error
	if errors.As(err, &own) {
		return err
	}
	return refusedf("%w", err)
}

// archive is what has been read so far.
type archive struct {
	lim     limits
	names   names
	entries int
	bytes   int64
	sink    sink
}

// plainRecords are the PAX records that say no more than a plain header does.
var plainRecords = map[string]bool{
	"path": true, "linkpath": true, "size": true, "mtime": true, "atime": true, "ctime": true,
	"uid": true, "gid": true, "uname": true, "gname": true,
}

// entry checks one header and passes the entry on.
func (a *archive) entry(h *tar.Header, content io.Reader) error {
	if a.entries++; a.entries > a.lim.entries {
		return fmt.Errorf("there are more than the %d entries of the manifest", a.lim.entries)
	}
	for key := range h.PAXRecords {
		if !plainRecords[key] {
			return fmt.Errorf("%.200q has the extended attribute %.80q", h.Name, key)
		}
	}
	if h.Mode&^0o777 != 0 {
		return fmt.Errorf("%.200q has mode %#o; setuid, setgid and sticky files are not allowed", h.Name, h.Mode)
	}
	name := h.Name
	var n node
	switch h.Typeflag {
	case tar.TypeReg:
		n = regular
	case tar.TypeDir:
		n, name = directory, strings.TrimSuffix(name, "/")
	case tar.TypeSymlink:
		n = link
		if bad := BadTarget(name, h.Linkname); bad != "" {
			return fmt.Errorf("symbolic link %.200q: its target %.200q %s", name, h.Linkname, bad)
		}
	default:
		return fmt.Errorf("%.200q is %s; only files, directories and symbolic links are allowed", name, typeName(h.Typeflag))
	}
	parents, err := a.names.add(name, n)
	if err != nil {
		return err
	}
	if a.sink != nil {
		for _, parent := range parents {
			if err := a.sink.directory(parent, 0o755); err != nil {
				return err
			}
		}
	}
	// What group and others might write is owned by root and run by root.
	perm := fs.FileMode(h.Mode) & 0o755
	switch n {
	case regular:
		return a.file(name, perm, h.Size, content)
	case directory:
		if a.sink != nil {
			return a.sink.directory(name, perm|0o700)
		}
	case link:
		if a.sink != nil {
			return a.sink.link(name, h.Linkname)
		}
	}
	return nil
}

func (a *archive) file(name string, perm fs.FileMode, size int64, content io.Reader) error {
	if a.lim.file < size {
		return fmt.Errorf("%.200q has %d bytes, at most %d are allowed", name, size, a.lim.file)
	}
	if a.bytes += size; a.bytes > a.lim.bytes {
		return fmt.Errorf("the files are longer than the %d bytes of the manifest", a.lim.bytes)
	}
	if a.sink == nil {
		_, err := io.Copy(io.Discard, content)
		return err
	}
	return a.sink.file(name, perm, content)
}

func typeName(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a fifo"
	case tar.TypeGNUSparse:
		return "a sparse file"
	case tar.TypeXGlobalHeader:
		return "a global header"
	default:
		return fmt.Sprintf("of the unknown type %q", flag)
	}
}
