package identity

import (
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/proof"
)

// Create makes the CA of a cluster in dir, which is missing or empty: root.crt and root.key, and an intermediate for each
// purpose: hosts-ca, server-ca and operators-ca. root.key is used again only to renew the intermediates, and may be
// kept elsewhere. If dir holds anything, the error is fs.ErrExist.
func Create(dir, cluster string, now time.Time) (*CA, error) {
	if err := checkCluster(cluster); err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	// Complete under another name first: a crash leaves no half CA, and of two creators one wins.
	var tmp string
	err := fs.ErrNotExist
	for try := 0; try < 10 && errors.Is(err, fs.ErrNotExist); try++ {
		if err = durable.MkdirAll(parent, 0o700); err == nil {
			tmp, err = os.MkdirTemp(parent, durable.TempPrefix) // mode 0700
		}
		// As long as the parent is empty, another creator may put its own in its place.
	}
	if err != nil {
		return nil, fmt.Errorf("creating the CA: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := writeCA(tmp, cluster, now); err != nil {
		return nil, err
	}
	_ = os.Remove(dir) // succeeds only on an empty directory
	if err := durable.Rename(tmp, dir); errors.Is(err, fs.ErrExist) {
		return nil, &FileError{dir, "cannot become a new CA", "name an empty or missing directory, or use the CA that is there", fs.ErrExist}
	} else if err != nil {
		return nil, fmt.Errorf("creating the CA: %w", err)
	}
	return Load(dir, cluster, now)
}

// Open loads the CA in dir or, if there is nothing, creates it; any number of processes may do so at once and all get
// the same CA. What a rotation that was ended half-way left is brought to its end. If root.key is there, intermediates in
// the last third of their life are renewed, and one that a CA of before does not have is made.
func Open(dir, cluster string, now time.Time) (*CA, error) {
	for first := true; ; first = false {
		ca, err := open(dir, cluster, now)
		if !errors.Is(err, fs.ErrNotExist) || !first {
			return ca, err
		}
		created, err := Create(dir, cluster, now)
		if !errors.Is(err, fs.ErrExist) {
			return created, err
		}
		// Somebody else's by now, or a directory that lacks a file.
	}
}

func open(dir, cluster string, now time.Time) (*CA, error) {
	unlock, err := lock(dir, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer unlock()
	st, err := read(dir, cluster)
	if err != nil {
		return nil, err
	}
	st, tendErr := st.tend(dir, now)
	if err := st.checkTime(dir, now); err != nil {
		return nil, errors.Join(err, tendErr)
	}
	// While the old certificates serve, a failed renewal is no reason to stop: NotAfter keeps telling that it is due.
	return newCA(dir, st), nil
}

func writeCA(dir, cluster string, now time.Time) error {
	root, err := writeRoot(dir, cluster, now)
	if err != nil {
		return err
	}
	return writeIntermediates(dir, root, cluster, now)
}

func writeRoot(dir, cluster string, now time.Time) (issuer, error) {
	key, err := proof.NewKey()
	if err != nil {
		return issuer{}, err
	}
	cert, err := makeRoot(key, cluster, now)
	if err != nil {
		return issuer{}, err
	}
	root := issuer{cert, key}
	return root, writePair(dir, "root", root)
}

func writeIntermediates(dir string, root issuer, cluster string, now time.Time) error {
	for _, p := range purposes {
		i, err := newIntermediate(root, p, cluster, now)
		if err != nil {
			return err
		}
		if err := writePair(dir, p.file, i); err != nil {
			return err
		}
	}
	return nil
}

// complete makes the intermediates that are missing, when root.key is there.
func (a *authority) complete(dir, keyDir string, now time.Time) error {
	for _, h := range a.held() {
		if h.cert != nil {
			continue
		}
		rootKey, err := readRootKey(keyDir, a.root)
		if err != nil || rootKey == nil {
			return err
		}
		key, err := oneKey(dir, filepath.Join(dir, h.file+".key"))
		if err != nil {
			return err
		}
		cert, err := makeIntermediate(issuer{a.root, rootKey}, h.purpose, key.Public(), a.cluster, now)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(dir, h.file+".crt"), encodeCertificate(cert.Raw), 0o644); err != nil {
			return fmt.Errorf("completing the CA: %w", err)
		}
		*h.issuer = issuer{cert, key}
	}
	return nil
}

// oneKey is the key at path, made if there is none: of processes that do so at once, one makes it for all.
func oneKey(dir, path string) (*ecdsa.PrivateKey, error) {
	key, err := proof.NewKey()
	if err != nil {
		return nil, err
	}
	text, err := proof.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	tmp := filepath.Join(dir, durable.TempPrefix+rand.Text())
	defer os.Remove(tmp)
	if err := durable.WriteFile(tmp, text, 0o600); err != nil {
		return nil, fmt.Errorf("completing the CA: %w", err)
	}
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) { // never replaces
		return nil, fmt.Errorf("completing the CA: %w", err)
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("completing the CA: %w", err)
	}
	return readKey(path)
}

func newIntermediate(root issuer, p purpose, cluster string, now time.Time) (issuer, error) {
	key, err := proof.NewKey()
	if err != nil {
		return issuer{}, err
	}
	cert, err := makeIntermediate(root, p, key.Public(), cluster, now)
	return issuer{cert, key}, err
}

func writePair(dir, name string, i issuer) error {
	text, err := proof.MarshalKey(i.key)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(dir, name+".key"), text, 0o600); err != nil {
		return fmt.Errorf("creating the CA: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, name+".crt"), encodeCertificate(i.cert.Raw), 0o644); err != nil {
		return fmt.Errorf("creating the CA: %w", err)
	}
	return nil
}
