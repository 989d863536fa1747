package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"muster/internal/durable"
	"muster/internal/proof"
)

// Create makes the CA of a cluster in dir, which is missing or empty: root.crt and root.key, and for hosts and for
// servers an intermediate, hosts-ca and server-ca. root.key is used again only to renew the intermediates, and may be
// kept elsewhere. If dir holds anything, the error is fs.ErrExist.
func Create(dir, cluster string, now time.Time) (*CA, error) {
	if err := checkCluster(cluster); err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if err := durable.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("creating the CA: %w", err)
	}
	// Complete under another name first: a crash leaves no half CA, and of two creators one wins.
	tmp, err := os.MkdirTemp(parent, durable.TempPrefix) // mode 0700
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
// the same CA. Intermediates in the last third of their life are renewed if root.key is there.
func Open(dir, cluster string, now time.Time) (*CA, error) {
	ca, err := read(dir, cluster)
	if errors.Is(err, fs.ErrNotExist) {
		created, createErr := Create(dir, cluster, now)
		if !errors.Is(createErr, fs.ErrExist) {
			return created, createErr
		}
		ca, err = read(dir, cluster) // somebody else's, or a directory that lacks a file
	}
	if err != nil {
		return nil, err
	}
	renewErr := ca.renew(dir, now)
	if err := ca.checkTime(dir, now); err != nil {
		return nil, errors.Join(err, renewErr)
	}
	// While the old certificates serve, a failed renewal is no reason to stop: NotAfter keeps telling that it is due.
	return ca, nil
}

func writeCA(dir, cluster string, now time.Time) error {
	key, err := proof.NewKey()
	if err != nil {
		return err
	}
	cert, err := makeRoot(key, cluster, now)
	if err != nil {
		return err
	}
	root := issuer{cert, key}
	if err := writePair(dir, "root", root); err != nil {
		return err
	}
	for _, p := range []purpose{forHosts, forServers} {
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
