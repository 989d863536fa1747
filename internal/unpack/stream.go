package unpack

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

var errTooLong = errors.New("the archive is longer than its entries account for")

// stream decompresses with bounded memory and never yields more than its limit. It watches how the archive ends.
type stream struct {
	zip  *zstd.Decoder
	left int64
	// zeros counts the zero bytes at the end of what was read since the last entry.
	zeros int64
}

func newStream(r io.Reader, lim limits) (*stream, error) {
	// The wrapper hides methods of r by which the decoder would take everything into memory at once.
	zip, err := zstd.NewReader(struct{ io.Reader }{r}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderMaxMemory(MaxWindow))
	if err != nil {
		return nil, err
	}
	return &stream{zip: zip, left: lim.stream()}, nil
}

func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, errTooLong
	}
	n, err := s.zip.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	tail := n
	for tail > 0 && b[tail-1] == 0 {
		tail--
	}
	if tail > 0 {
		s.zeros = 0
	}
	s.zeros += int64(n - tail)
	return n, err
}

// end checks what comes after the last entry: the two blocks of zeros that end an archive, perhaps more zeros, and no
// other byte. Without the two blocks, the archive was cut off between entries.
func (s *stream) end() error {
	if s.zeros < 1024 {
		return errors.New("the archive is cut off")
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := s.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return errors.New("there is something after the end of the archive")
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) close() { s.zip.Close() }
