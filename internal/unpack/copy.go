package unpack

import (
	"io"
	"os"
)

// Copy copies to the end and keeps the failures apart: to read content is the archive's, to write f this machine's. At most
// one of the two is set.
func Copy(f *os.File, content io.Reader) (readErr, writeErr error) {
	to := &writer{f: f}
	// The wrappers hide methods by which the buffer would be passed over.
	_, err := io.CopyBuffer(to, struct{ io.Reader }{content}, make([]byte, 128<<10))
	if to.err != nil {
		return nil, to.err
	}
	return err, nil
}

// writer remembers its error, to tell it from the reader's.
type writer struct {
	f   *os.File
	err error
}

func (w *writer) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.err = err
	return n, err
}
