package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// WriteFile replaces path by a file with this content and exactly this mode, whatever the umask. A symbolic link at
// path is replaced, not followed.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	return replace(path, bytes.NewReader(data), mode)
}

// CopyFile replaces path by a copy of a file, as WriteFile does. The kernel copies where it can.
func CopyFile(from, path string, mode os.FileMode) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Close()
	return replace(path, f, mode)
}

func replace(path string, content io.Reader, mode os.FileMode) error {
	if mode&^os.ModePerm != 0 {
		return fmt.Errorf("write %s: mode %v has more than permission bits; pass a mode up to 0777", path, mode)
	}
	tmp := tempPath(path)
	if err := writeTemp(tmp, content, mode); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return publish(tmp, path)
}

func writeTemp(tmp string, content io.Reader, mode os.FileMode) error {
	// Secrets are among what is written: nobody else may open the file before its mode is set.
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Symlink makes path a symbolic link to target, in one step if something is there already. A directory at path is not
// replaced; that is an error.
func Symlink(target, path string) error {
	tmp := tempPath(path)
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("link %s: %w", path, err)
	}
	return publish(tmp, path)
}

// publish gives a finished file its name.
func publish(tmp, path string) error {
	if err := Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}
