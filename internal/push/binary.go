package push

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"

	"muster/internal/manifest"
)

// Binary is a bootstrap agent. Content is read by all hosts at the same time and never held in memory as a whole.
type Binary struct {
	Content io.ReaderAt
	Size    int64
	Digest  manifest.Digest
}

// OpenBinary opens the bootstrap agent at path and computes its digest. The file stays open until Close.
func OpenBinary(path string) (Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, fmt.Errorf("bootstrap agent: %w", err)
	}
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		_ = f.Close() // it was only read
		return Binary{}, fmt.Errorf("bootstrap agent %s: %w", path, err)
	}
	return Binary{Content: f, Size: size, Digest: manifest.Digest(hex.EncodeToString(h.Sum(nil)))}, nil
}

// Close closes the file that OpenBinary opened.
func (b Binary) Close() error {
	if c, ok := b.Content.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// valid keeps everything but numbers and hexadecimal out of the script that the host runs.
func (b Binary) valid() error {
	switch {
	case b.Content == nil || b.Size <= 0:
		return fmt.Errorf("the bootstrap agent is empty")
	case !digestForm.MatchString(string(b.Digest)):
		return fmt.Errorf("%q is not a SHA-256 in lower-case hexadecimal", b.Digest)
	}
	return nil
}

// archOf translates what `uname -s` and `uname -m` print.
func archOf(system, machine string) (manifest.Arch, bool) {
	if system != "Linux" {
		return "", false
	}
	switch machine {
	case "x86_64", "amd64":
		return "amd64", true
	case "aarch64", "arm64":
		return "arm64", true
	}
	return "", false
}
