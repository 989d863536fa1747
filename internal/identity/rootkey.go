package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/proof"
)

// RootKey is the text of the root's key in a CA's directory, for keeping elsewhere; while the root is being rotated, that of
// the new one. The rest of the CA may have expired.
func RootKey(dir string) ([]byte, error) {
	unlock, err := lock(dir, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	_, keyDir, err := places(dir)
	if err != nil {
		return nil, err
	}
	text, err := readFile(filepath.Join(keyDir, rootKeyFile), true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoRootKey
	}
	return text, err
}

// RemoveRootKey takes the root's key out of a CA's directory, and while the root is being rotated also the old one's, which
// nothing needs any more.
func RemoveRootKey(dir string) error {
	keyDir, unlock, err := keyPlace(dir)
	if err != nil {
		return err
	}
	defer unlock()
	for _, d := range []string{keyDir, dir} {
		if err := durable.RemoveAll(filepath.Join(d, rootKeyFile)); err != nil {
			return fmt.Errorf("removing the key of the root: %w", err)
		}
	}
	return nil
}

// PutRootKey brings the root's key back to where it is looked for. A key of another root is refused.
func PutRootKey(dir string, text []byte) error {
	keyDir, unlock, err := keyPlace(dir)
	if err != nil {
		return err
	}
	defer unlock()
	issuing, _, err := places(dir)
	if err != nil {
		return err
	}
	root, err := readRoot(filepath.Join(issuing, rootCertFile))
	if err != nil {
		return err
	}
	if err := checkRootKey(text, root); err != nil {
		return fault.New(fault.Invalid, "bring the file that coordinator ca export wrote for the root with the fingerprint "+Fingerprint(root.Raw),
			"this is not the key of the root").Because(err)
	}
	return durable.WriteFile(filepath.Join(keyDir, rootKeyFile), text, 0o600)
}

// keyPlace is where the root's key belongs, with the directory locked.
func keyPlace(dir string) (keyDir string, unlock func(), err error) {
	if unlock, err = lock(dir, unix.LOCK_EX); err != nil {
		return "", nil, err
	}
	if err = rollForward(dir); err == nil {
		_, keyDir, err = places(dir)
	}
	if err != nil {
		unlock()
		return "", nil, err
	}
	return keyDir, unlock, nil
}

func checkRootKey(text []byte, root *x509.Certificate) error {
	key, err := proof.ParseKey(text)
	if err != nil {
		return err
	}
	if !key.PublicKey.Equal(root.PublicKey) {
		return errors.New("it belongs to another root")
	}
	return nil
}
