package unpack_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"muster/internal/unpack"
)

func TestCopyTellsTheArchivesFailuresFromThoseOfTheDisk(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		path        string
		content     io.Reader
		read, write error
	}{
		"all is well":                {filepath.Join(t.TempDir(), "f"), strings.NewReader("content"), nil, nil},
		"the archive cannot be read": {filepath.Join(t.TempDir(), "f"), io.MultiReader(strings.NewReader("con"), iotest.ErrReader(broken)), broken, nil},
		"the disk is full":           {"/dev/full", strings.NewReader("content"), nil, syscall.ENOSPC},
		"both":                       {"/dev/full", iotest.DataErrReader(io.MultiReader(strings.NewReader("con"), iotest.ErrReader(broken))), nil, syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.OpenFile(tt.path, os.O_WRONLY|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if read, write := unpack.Copy(f, tt.content); !errors.Is(read, tt.read) || !errors.Is(write, tt.write) {
				t.Errorf("reading: %v, writing: %v; want %v and %v", read, write, tt.read, tt.write)
			}
		})
	}
}
