package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"muster/internal/manifest"
)

const (
	// Ending is what files with bundles end in.
	Ending = ".bundle"
	// IndexName is the first entry of the archive.
	IndexName = ".muster-bundle.json"
	// format is the format of the index that this program writes and reads.
	format = 1
	// maxIndex is above what the entries of any bundle take.
	maxIndex = 64 << 20
)

// Index says what a file holds, apart from the index itself.
type Index struct {
	Format  int     `json:"format"`
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Entries []Entry `json:"entries"`
}

// Entry is a file, directory or link. The path of a directory ends in a slash.
type Entry struct {
	Path string `json:"path"`
	// Mode is 0755 of a program, else 0644.
	Mode   uint32          `json:"mode,omitempty"`
	Size   int64           `json:"size,omitempty"`
	SHA256 manifest.Digest `json:"sha256,omitempty"`
	// Target is that of a link.
	Target string `json:"target,omitempty"`
}

// Directory says whether the entry is one.
func (e Entry) Directory() bool { return strings.HasSuffix(e.Path, "/") }

// Encode gives the index as it stands in the file.
func (x Index) Encode() ([]byte, error) {
	x.Format = format
	data, err := json.MarshalIndent(x, "", " ")
	return append(data, '\n'), err
}

func decode(data []byte) (Index, error) {
	var x Index
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&x); err != nil {
		return x, fmt.Errorf("its index cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return x, errors.New("its index cannot be read: something follows it")
	}
	if x.Format != format {
		return x, fmt.Errorf("its format is %d, and this program reads %d", x.Format, format)
	}
	for _, e := range x.Entries {
		if e.Size < 0 {
			return x, errors.New("its index has a negative length")
		}
	}
	return x, nil
}

// unpacked is the length of all files together.
func (x Index) unpacked() (n int64) {
	for _, e := range x.Entries {
		n += e.Size
	}
	return n
}
