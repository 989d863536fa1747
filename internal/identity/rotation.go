package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/fault"
)

// A rotation goes through the directory in steps of one rename each, so that it can be ended anywhere:
//
//	next/       a whole authority, made under a working name. It issues; the one beside it is accepted.
//	finished/   what was next. Nothing else counts any more: its files take the place of those beside it, one by one and
//	            again after a crash, and then it goes.
const (
	nextDir     = "next"
	finishedDir = "finished"
	startedFile = "started"
	crossFile   = "server-ca.cross.crt"
)

// rotation is what is accepted beside the authority that issues.
type rotation struct {
	before  authority
	started time.Time
	// cross is the new intermediate for servers as the old root has certified it; nil when the root stays. Sent beside
	// the other, it leads a host to whichever root it trusts.
	cross *x509.Certificate
}

// places is where what issues lies, and where the key of its root does.
func places(dir string) (issuing, keyDir string, err error) {
	for _, name := range []string{finishedDir, nextDir} {
		issuing := filepath.Join(dir, name)
		if _, err := os.Stat(issuing); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return "", "", &FileError{issuing, "cannot be read", restore, err}
		}
		stays, err := rootStays(issuing)
		if err != nil {
			return "", "", err
		}
		if stays {
			return issuing, dir, nil
		}
		return issuing, issuing, nil
	}
	return dir, dir, nil
}

// rootStays says whether a rotation is of the intermediates alone. Then the key of the root is not moved.
func rootStays(issuing string) (bool, error) {
	path := filepath.Join(issuing, crossFile)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, &FileError{path, "cannot be read", restore, err}
	}
	return false, nil
}

func readRotation(dir, next string, issuing authority) (*rotation, error) {
	before, err := readAuthority(dir, dir, issuing.cluster)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(next, startedFile)
	text, err := readFile(path, false)
	if err != nil {
		return nil, err
	}
	r := &rotation{before: before}
	if r.started, err = time.Parse(time.RFC3339Nano, string(bytes.TrimSpace(text))); err != nil {
		return nil, &FileError{path, "is damaged", restore, err}
	}
	if before.root.Equal(issuing.root) {
		return r, nil
	}
	path = filepath.Join(next, crossFile)
	if r.cross, err = readCertificate(path); err != nil {
		return nil, err
	}
	if err := r.cross.CheckSignatureFrom(before.root); err != nil || !bytes.Equal(r.cross.RawSubjectPublicKeyInfo, issuing.servers.cert.RawSubjectPublicKeyInfo) {
		return nil, &FileError{path, "does not lead from " + rootCertFile + " to the new " + forServers.file + ".crt", restore, err}
	}
	return r, nil
}

// ErrNoRootKey is a root key that is kept elsewhere.
var ErrNoRootKey = fault.New(fault.Conflict, "bring it from where it is kept: coordinator ca import FILE; afterwards coordinator ca export --remove takes it away again",
	"the key of the root is not on this machine")

// MayRotate says why Rotate would refuse.
func (c *CA) MayRotate() error {
	unlock, err := lock(c.dir, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = c.rotatable()
	return err
}

// rotatable is the root with its key, where a rotation can begin.
func (c *CA) rotatable() (issuer, error) {
	st, err := read(c.dir, c.cluster)
	if err != nil {
		return issuer{}, err
	}
	if st.rotation != nil {
		return issuer{}, fault.New(fault.Conflict, "coordinator ca show tells how far it is; coordinator ca rotate --finish ends it",
			"a rotation is under way since %s", st.rotation.started.UTC().Format(time.RFC3339))
	}
	_, keyDir, err := places(c.dir)
	if err != nil {
		return issuer{}, err
	}
	key, err := readRootKey(keyDir, st.root)
	if err == nil && key == nil {
		err = ErrNoRootKey
	}
	return issuer{st.root, key}, err
}

// Rotate begins a rotation: new intermediates, and unless intermediatesOnly a new root. From then on the new ones issue, and
// the old are accepted until Finish. The key of the root must be there. Connections stay.
func (c *CA) Rotate(intermediatesOnly bool, now time.Time) error {
	unlock, err := lock(c.dir, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if err := rollForward(c.dir); err != nil {
		return err
	}
	root, err := c.rotatable()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.dir, durable.TempPrefix) // mode 0700
	if err != nil {
		return fmt.Errorf("rotating the CA: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := writeNext(tmp, root, c.cluster, intermediatesOnly, now); err != nil {
		return err
	}
	if err := durable.Rename(tmp, filepath.Join(c.dir, nextDir)); err != nil {
		return fmt.Errorf("rotating the CA: %w", err)
	}
	return c.reload()
}

func writeNext(dir string, old issuer, cluster string, intermediatesOnly bool, now time.Time) error {
	root := old
	if intermediatesOnly {
		if err := durable.WriteFile(filepath.Join(dir, rootCertFile), encodeCertificate(old.cert.Raw), 0o644); err != nil {
			return fmt.Errorf("rotating the CA: %w", err)
		}
	} else {
		var err error
		if root, err = writeRoot(dir, cluster, now); err != nil {
			return err
		}
	}
	if err := writeIntermediates(dir, root, cluster, now); err != nil {
		return err
	}
	if !intermediatesOnly {
		servers, err := readIntermediate(dir, forServers, root.cert)
		if err != nil {
			return err
		}
		cross, err := makeIntermediate(old, forServers, servers.key.Public(), cluster, now)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(dir, crossFile), encodeCertificate(cross.Raw), 0o644); err != nil {
			return fmt.Errorf("rotating the CA: %w", err)
		}
	}
	if err := durable.WriteFile(filepath.Join(dir, startedFile), []byte(now.UTC().Format(time.RFC3339Nano)+"\n"), 0o644); err != nil {
		return fmt.Errorf("rotating the CA: %w", err)
	}
	return nil
}

// Finish ends a rotation: what was there before it is accepted no more, and its keys are deleted.
func (c *CA) Finish() error {
	unlock, err := lock(c.dir, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	st, err := read(c.dir, c.cluster)
	if err != nil {
		return err
	}
	if st.rotation == nil {
		return ErrNoRotation
	}
	if err := durable.Rename(filepath.Join(c.dir, nextDir), filepath.Join(c.dir, finishedDir)); err != nil {
		return fmt.Errorf("finishing the rotation of the CA: %w", err)
	}
	// It is done: what is left to tidy up, the next start does as well.
	return errors.Join(c.reload(), rollForward(c.dir))
}

// ErrNoRotation is a rotation that has not begun.
var ErrNoRotation = fault.New(fault.Conflict, "coordinator ca rotate begins one", "no rotation of the CA is under way")

// reload takes over what is in the directory, whose lock is held.
func (c *CA) reload() error {
	st, err := read(c.dir, c.cluster)
	if err == nil {
		c.at.Store(st)
	}
	return err
}

// rollForward lets the files of a finished rotation take the place of the old ones. What a crash has left under a working
// name goes as well: it can hold a key that people believe to be offline. The directory is locked.
func rollForward(dir string) error {
	if err := errors.Join(durable.CleanTemp(dir), durable.CleanTemp(filepath.Join(dir, nextDir))); err != nil {
		return err
	}
	finished := filepath.Join(dir, finishedDir)
	if _, err := os.Stat(finished); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("finishing the rotation of the CA: %w", err) }
	stays, err := rootStays(finished)
	if err != nil {
		return err
	}
	names := []string{"root"}
	for _, p := range purposes {
		names = append(names, p.file)
	}
	for _, name := range names {
		key, cert := name+".key", name+".crt"
		if name != "root" || !stays {
			if err := replace(filepath.Join(finished, key), filepath.Join(dir, key), 0o600); err != nil {
				return fail(err)
			}
		}
		if err := replace(filepath.Join(finished, cert), filepath.Join(dir, cert), 0o644); err != nil {
			return fail(err)
		}
	}
	if err := durable.RemoveAll(finished); err != nil {
		return fail(err)
	}
	return nil
}

// replace lets a file be what another is, also when that was taken away.
func replace(from, to string, mode os.FileMode) error {
	text, err := readFile(from, mode == 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.RemoveAll(to)
	}
	if err != nil {
		return err
	}
	return durable.WriteFile(to, text, mode)
}

// Fingerprint names a certificate, given in DER: its SHA-256 in hexadecimal.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// ErrEnded is a certificate by an intermediate that a rotation has ended.
var ErrEnded = fault.New(fault.Denied, "let the host join again: coordinator push; for an operator: coordinator operator create",
	"the certificate was issued by a CA that has been rotated since")

// accepts says whether certificates by this intermediate count. Where the root stays, TLS cannot tell.
func (st *standing) accepts(intermediate *x509.Certificate) bool {
	all := st.held()
	if st.rotation != nil {
		all = append(all, st.rotation.before.held()...)
	}
	for _, h := range all {
		// By the key: a renewed intermediate keeps it.
		if h.cert != nil && bytes.Equal(h.cert.RawSubjectPublicKeyInfo, intermediate.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}
