package archive

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
)

// debData gives the data of a Debian package, still compressed. The package is an ar(5) archive of debian-binary,
// control.tar.* and data.tar.*; control, with the scripts in it, is left alone.
func debData(r io.Reader) (io.Reader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, errors.New("it is not a Debian package: it does not begin as an ar archive")
	}
	header := make([]byte, arHeaderSize)
	for first := true; ; first = false {
		if _, err := io.ReadFull(r, header); err != nil {
			return nil, errors.New("it is not a whole Debian package: it has no data.tar")
		}
		name := strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
		size, err := strconv.ParseInt(strings.TrimRight(string(header[48:58]), " "), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return nil, errors.New("it is not a whole Debian package: the header of a member is damaged")
		}
		member := io.LimitReader(r, size)
		switch {
		case first:
			version, err := io.ReadAll(io.LimitReader(member, 16))
			if err != nil || name != "debian-binary" || !strings.HasPrefix(string(version), "2.") {
				return nil, fmt.Errorf("it is not a Debian package of format 2: its first member is %.16q", name)
			}
		case name == "data.tar" || strings.HasPrefix(name, "data.tar."):
			return &whole{r: member, left: size}, nil
		}
		// A member of odd length is followed by one byte of padding.
		if _, err := io.Copy(io.Discard, member); err != nil {
			return nil, err
		}
		if size%2 == 1 {
			if _, err := io.ReadFull(r, header[:1]); err != nil {
				return nil, errors.New("it is not a whole Debian package: it ends early")
			}
		}
	}
}

// whole is a reader that knows how much there has to be: an early end is an error.
type whole struct {
	r    io.Reader
	left int64
}

func (w *whole) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.left -= int64(n)
	if err == io.EOF && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
