package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"

	"muster/internal/proof"
)

// FileError says what is wrong with a file or the directory of the CA, and what to do about it.
type FileError struct {
	Path, Problem, Remedy string
	Err                   error
}

// Error is one line: where, what, remedy.
func (e *FileError) Error() string {
	text := e.Path + ": " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + "; " + e.Remedy
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

const (
	restore     = "restore the CA's directory from its backup; a new CA would strand every host of this cluster"
	maxFileSize = 64 << 10
)

// readFile reads a file of the CA. A secret one that others can read counts as stolen until somebody says otherwise.
func readFile(path string, secret bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		cause := err
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			cause = pe.Err // the path is said once
		}
		return nil, &FileError{path, "cannot be read", restore, cause}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &FileError{path, "cannot be read", restore, err}
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, &FileError{path, "is not a regular file", restore, nil}
	case secret && info.Mode().Perm()&0o077 != 0:
		return nil, &FileError{path, "is a private key that others than its owner can use (mode " + info.Mode().Perm().String() + ")",
			"run chmod 600 on it, and make a new CA if somebody else may have read it", nil}
	case info.Size() == 0:
		return nil, &FileError{path, "is empty", restore, nil}
	case info.Size() > maxFileSize:
		return nil, &FileError{path, "is too long to be one of the CA's files", restore, nil}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize))
	if err != nil {
		return nil, &FileError{path, "cannot be read", restore, err}
	}
	return text, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := readFile(path, true)
	if err != nil {
		return nil, err
	}
	key, err := proof.ParseKey(text)
	if err != nil {
		return nil, &FileError{path, "is damaged", restore, err}
	}
	return key, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := readFile(path, false)
	if err != nil {
		return nil, err
	}
	cert, err := proof.ParseCertificate(text)
	if err != nil {
		return nil, &FileError{path, "is damaged", restore, err}
	}
	return cert, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// checkDir refuses a directory in which others could exchange the CA's files.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return &FileError{dir, "cannot be read", "create a CA there first", err}
	}
	if !info.IsDir() {
		return &FileError{dir, "is not a directory", "name the CA's directory", nil}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &FileError{dir, "can be written by others than its owner (mode " + info.Mode().Perm().String() + ")",
			"run chmod 700 on it", nil}
	}
	return nil
}
