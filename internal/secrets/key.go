package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"filippo.io/age"

	"muster/internal/durable"
	"muster/internal/fault"
)

// ring is the keys that open what is sealed; the first one seals. There is a second one only while all records are
// being sealed anew.
type ring []*age.X25519Identity

const (
	keyHeader  = "# The key of this coordinator's secrets. Whoever has it and the store has every value. Keep a copy apart from both.\n"
	maxKeyFile = 16 << 10
	restoreKey = "restore it from your copy; without it the values are lost. To go on without them: coordinator secret reset --yes"
)

func newKey() (*age.X25519Identity, error) { return age.GenerateX25519Identity() }

// seal encrypts to the first key alone.
func (r ring) seal(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r[0].Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (r ring) open(sealed []byte) ([]byte, error) {
	identities := make([]age.Identity, len(r))
	for i, key := range r {
		identities[i] = key
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), identities...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(plain, 1<<20))
}

// save replaces the key file in one step.
func (r ring) save(path string) error {
	text := keyHeader
	for _, key := range r {
		text += key.String() + "\n"
	}
	return durable.WriteFile(path, []byte(text), 0o600)
}

// errNoKey is a key file that is not there.
var errNoKey = errors.New("no key file")

// loadRing reads the key file. One that others can read counts as stolen until somebody says otherwise.
func loadRing(path string) (ring, error) {
	text, err := readPrivate(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKey
	}
	var open *tooOpen
	if errors.As(err, &open) {
		return nil, fault.New(fault.Denied, "run chmod 600 "+path+"; if somebody else may have read it, then also: coordinator secret rekey, and change the values",
			"the key of the secrets, %s, %s", path, open.why)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, restoreKey, "the key of the secrets cannot be read").Because(err)
	}
	var keys ring
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := age.ParseX25519Identity(line)
		if err != nil {
			// The cause would repeat a part of the key.
			return nil, fault.New(fault.Invalid, restoreKey, "the key of the secrets, %s, is damaged", path)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Invalid, restoreKey, "the key of the secrets, %s, is damaged: it holds no key", path)
	}
	return keys, nil
}

// tooOpen is a file that somebody else than its owner could have read or written.
type tooOpen struct{ why string }

func (e *tooOpen) Error() string { return e.why }

// readPrivate reads a regular file that only its owner, who is root or this user, can read.
func readPrivate(path string, limit int64) ([]byte, error) {
	// A pipe or a device would be waited for; O_NONBLOCK opens it, and the next look refuses it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &tooOpen{fmt.Sprintf("can be read by others than its owner (mode %04o)", mode)}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, &tooOpen{fmt.Sprintf("belongs to another user (uid %d)", st.Uid)}
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("longer than %d bytes", limit)}
	}
	return data, err
}
