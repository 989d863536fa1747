package manifest

import (
	"fmt"
	"io/fs"
	"strconv"
)

// Owner is to whom a file or directory belongs: names or numbers of a user and a group, root's where empty.
type Owner struct {
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
}

// OwnedFile is a file of the config that does not belong to root.
type OwnedFile struct {
	// Path is relative to the generation.
	Path string `json:"path"`
	Owner
}

// Directory is one that is made below /var/lib/<cluster>.
type Directory struct {
	Path string `json:"path"`
	// Mode is its permissions, at most 0777.
	Mode uint32 `json:"mode"`
	Owner
}

// IsAccount says whether s can be the name or number of a user or group. It needs no quotes in a shell.
func IsAccount(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	if c := s[0]; c >= '0' && c <= '9' {
		// The largest number means no change to chown(2).
		n, err := strconv.ParseUint(s, 10, 32)
		return err == nil && n < 1<<32-1 && strconv.FormatUint(n, 10) == s
	}
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c == '_'
		if !plain && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

func (o Owner) validate() error {
	for _, s := range []string{o.User, o.Group} {
		if s != "" && !IsAccount(s) {
			return fmt.Errorf("%.80q is no user or group", s)
		}
	}
	return nil
}

func (f OwnedFile) validate() error {
	if !fs.ValidPath(f.Path) || f.Path == "." {
		return fmt.Errorf("not a clean relative path")
	}
	return f.Owner.validate()
}

func (d Directory) validate() error {
	if !fs.ValidPath(d.Path) || d.Path == "." || d.Mode > 0o777 {
		return fmt.Errorf("not a clean relative path with a mode of at most 0777")
	}
	return d.Owner.validate()
}
