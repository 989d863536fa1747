package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"muster/internal/durable"
	"muster/internal/fault"
)

// KeyFile is what a key is called in a directory that names no file.
const KeyFile = "signing.key"

// maxKeyFile is far above what a key takes.
const maxKeyFile = 16 << 10

const privateType, publicType = "PRIVATE KEY", "PUBLIC KEY"

// GenerateKey makes a key in a file of mode 0600, in the directory path if that is one. A key that is there stays: what
// was signed with it could not be signed again.
func GenerateKey(path string) (file string, public ed25519.PublicKey, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() || strings.HasSuffix(path, string(filepath.Separator)) {
		path = filepath.Join(path, KeyFile)
	}
	if _, err := os.Lstat(path); err == nil {
		return "", nil, fault.New(fault.Conflict, "name another file, or move it away", "%s is there already; a key is never replaced", path)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: der})
	return path, public, durable.WriteFile(path, text, 0o600)
}

// ReadPrivate reads a key that GenerateKey or openssl genpkey wrote. One that others may read is refused.
func ReadPrivate(path string) (ed25519.PrivateKey, error) {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "make a key with: coordinator key generate FILE", "%s is not a signing key: %s", path, why)
	}
	// Whatever it is, opening it does not wait: a pipe that nobody writes to is told, too.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.New(fault.NotFound, "name the file of the key; coordinator key generate FILE makes one", "the signing key cannot be read").Because(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, bad("it is not a regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Denied, "chmod 600 "+path+"; if somebody may have read it, make a new key", "others may read the signing key %s (%v)", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != privateType || len(rest) > 0 || len(block.Headers) > 0 {
		return nil, bad("not one " + privateType + " in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, bad(err.Error())
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, bad(fmt.Sprintf("it is a %T, not ed25519", key))
	}
	return private, nil
}

// ReadPublic reads the public key in a file: a line of base64, or PEM as openssl pkey -pubout writes it. The file of a
// private key is refused, so that none is spread where a public one would do.
func ReadPublic(path string) (ed25519.PublicKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, errors.New("not the file of a key")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return ParseKey(strings.TrimSpace(string(data)))
	}
	switch {
	case strings.HasSuffix(block.Type, privateType):
		return nil, errors.New("it holds a private key; give the public one that coordinator key public FILE prints, and keep this one away")
	case block.Type != publicType || len(rest) > 0:
		return nil, errors.New("not one " + publicType + " in PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, not ed25519", key)
	}
	return ParseKey(EncodeKey(public))
}
