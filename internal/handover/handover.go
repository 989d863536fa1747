// Package handover is the file by which an operator hands secrets to a host that installs without a coordinator: written
// by coordinator secret export, read by bootstrap-agent install --secrets.
package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/manifest"
)

// Format is the format that this program writes and reads.
const Format = 1

// maxFile is above the most and longest secrets that a bundle can have.
const maxFile = 4 << 20

// File is the secrets that one role may read.
type File struct {
	Format  int           `json:"format"`
	Cluster string        `json:"cluster"`
	Role    manifest.Role `json:"role"`
	// Host is set when the file holds values of one host alone.
	Host string `json:"host,omitempty"`
	// ID names the values without telling anything of them.
	ID string `json:"id"`
	// Secrets are the values by name.
	Secrets map[string][]byte `json:"secrets"`
}

// Encode gives the file's bytes.
func (f *File) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(f, "", "  ")
	return append(text, '\n'), err
}

// Decode reads what Encode wrote, and nothing else. No error repeats any of a value.
func Decode(text []byte) (*File, error) {
	damaged := func(what string) (*File, error) {
		return nil, fault.New(fault.Invalid, "export it again: coordinator secret export --role ROLE", "the file of secrets %s", what)
	}
	f := new(File)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	// The decoder's errors can repeat what they stumbled over.
	if err := d.Decode(f); err != nil {
		return damaged("is not in the form that coordinator secret export writes")
	}
	// Repeated keys, keys in other cases, and whatever follows the end do not come out again as they went in.
	again, err := json.Marshal(f)
	var compact bytes.Buffer
	if err != nil || json.Compact(&compact, text) != nil || !bytes.Equal(compact.Bytes(), again) {
		return damaged("is not in the form that coordinator secret export writes: it was edited or cut off")
	}
	switch {
	case f.Format != Format:
		return damaged(fmt.Sprintf("has format %d, this program reads %d", f.Format, Format))
	case !manifest.IsLabel(f.Cluster) || !manifest.IsLabel(string(f.Role)):
		return damaged("names no cluster or role")
	case !ValidID(f.ID):
		return damaged("has no id")
	}
	for name, value := range f.Secrets {
		if !late.ValidSecretName(name) || len(value) == 0 || len(value) > late.MaxSecret {
			return damaged("has a name or a value that no secret can have")
		}
	}
	return f, nil
}

// ValidID says whether id can name values: 32 hexadecimal digits.
func ValidID(id string) bool {
	if len(id) != 32 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Read reads the file at path, which only root or this user can have written and read.
func Read(path string) (*File, error) {
	// A pipe or a device would be waited for; O_NONBLOCK opens it, and the next look refuses it.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, unreadable(path, errors.New("not a regular file"))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.New(fault.Denied, "run chmod 600 "+path+", and change the values if somebody else may have read them",
			"the file of secrets %s can be read by others than its owner (mode %04o)", path, mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fault.New(fault.Denied, "run chown root "+path+" if its content is yours", "the file of secrets %s belongs to another user (uid %d)", path, st.Uid)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("too long")
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Decode(text)
}

func unreadable(path string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fault.New(fault.NotFound, "name the file that coordinator secret export wrote", "the file of secrets %s cannot be read", path).Because(err)
}
