package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the memory that unpacking zstd may take. It is what `zstd --long` asks for.
const maxWindow = 128 << 20

// decompress finds out by its first bytes how r is compressed. The caller closes the result.
func decompress(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return startXZ(ctx, b)
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(b)), nil
	}
	return io.NopCloser(b), nil
}

// xz decompresses by the program of that name: there is no decoder for it among the libraries that Muster uses, and
// every machine on which Debian packages are handled has it.
type xz struct {
	io.Reader
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// errNoXZ is a machine without xz(1).
var errNoXZ = errors.New("it is compressed by xz, and this machine has no program xz; install it (xz-utils), or compress the archive by zstd or gzip")

func startXZ(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	x := &xz{cmd: exec.CommandContext(ctx, "xz", "--decompress", "--stdout", "--memlimit-decompress=256MiB")}
	x.cmd.Stdin, x.cmd.Stderr = r, &x.stderr
	x.cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"} // XZ_OPT could change what it does
	x.cmd.WaitDelay = time.Second
	out, err := x.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	x.Reader = &checkedPipe{out, x}
	if err := x.cmd.Start(); errors.Is(err, exec.ErrNotFound) {
		return nil, errNoXZ
	} else if err != nil {
		return nil, err
	}
	return x, nil
}

// checkedPipe makes a failure of the program one of reading: else damaged data would look like a short archive.
type checkedPipe struct {
	io.Reader
	x *xz
}

func (p *checkedPipe) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err == io.EOF {
		if failed := p.x.wait(); failed != nil {
			return n, failed
		}
	}
	return n, err
}

func (x *xz) wait() error {
	if err := x.cmd.Wait(); err != nil {
		return fmt.Errorf("xz: %s", strings.TrimSpace(strings.TrimPrefix(x.stderr.String(), "xz: ")))
	}
	return nil
}

// Close ends the program; what it was about to say no longer matters.
func (x *xz) Close() error {
	if x.cmd.ProcessState == nil {
		_ = x.cmd.Process.Kill()
		_ = x.cmd.Wait()
	}
	return nil
}
