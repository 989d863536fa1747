package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/proof"
)

const (
	rootCertFile = "root.crt"
	rootKeyFile  = "root.key"
)

// CA issues the certificates of one cluster. It holds the keys of the intermediates and never that of the root, which
// an operator can take away from the machine. It is safe for concurrent use.
type CA struct {
	cluster, dir string
	at           atomic.Pointer[standing]
}

// standing is what a CA issues by and what it accepts, at one moment. It does not change.
type standing struct {
	authority
	// rotation is nil when none is under way.
	rotation *rotation
	pool     *x509.CertPool
}

func newStanding(a authority, r *rotation) *standing {
	st := &standing{a, r, x509.NewCertPool()}
	for _, root := range st.roots() {
		st.pool.AddCert(root)
	}
	return st
}

// roots are those that are trusted, the newest first.
func (st *standing) roots() []*x509.Certificate {
	if st.rotation == nil || st.rotation.before.root.Equal(st.root) {
		return []*x509.Certificate{st.root}
	}
	return []*x509.Certificate{st.root, st.rotation.before.root}
}

// authority is a root certificate and what it has certified.
type authority struct {
	cluster                   string
	root                      *x509.Certificate
	hosts, servers, operators issuer // operators may be empty: see purpose.optional
}

// held is what an authority has for one purpose.
type held struct {
	purpose
	*issuer
}

// held lists the intermediates, also those that are missing.
func (a *authority) held() []held {
	at := map[string]*issuer{forHosts.file: &a.hosts, forServers.file: &a.servers, forOperators.file: &a.operators}
	var all []held
	for _, p := range purposes {
		all = append(all, held{p, at[p.file]})
	}
	return all
}

// Load reads the CA of a cluster from its directory, and fails unless it can issue certificates now. root.key may be
// missing; what is present must be whole, private and belong together.
func Load(dir, cluster string, now time.Time) (*CA, error) {
	unlock, err := lock(dir, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	st, err := read(dir, cluster)
	if err != nil {
		return nil, err
	}
	if err := st.checkTime(dir, now); err != nil {
		return nil, err
	}
	return newCA(dir, st), nil
}

func newCA(dir string, st *standing) *CA {
	ca := &CA{cluster: st.cluster, dir: dir}
	ca.at.Store(st)
	return ca
}

// read takes a directory at whatever step of a rotation its writer was ended: see rotation.
func read(dir, cluster string) (*standing, error) {
	if err := checkCluster(cluster); err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	issuing, keyDir, err := places(dir)
	if err != nil {
		return nil, err
	}
	a, err := readAuthority(issuing, keyDir, cluster)
	if err != nil {
		return nil, err
	}
	if filepath.Base(issuing) != nextDir {
		return newStanding(a, nil), nil
	}
	r, err := readRotation(dir, issuing, a)
	if err != nil {
		return nil, err
	}
	return newStanding(a, r), nil
}

func readAuthority(dir, keyDir, cluster string) (authority, error) {
	rootPath := filepath.Join(dir, rootCertFile)
	root, err := readRoot(rootPath)
	if err != nil {
		return authority{}, err
	}
	if _, err := readRootKey(keyDir, root); err != nil {
		return authority{}, err
	}
	a := authority{cluster: cluster, root: root}
	for _, h := range a.held() {
		*h.issuer, err = readIntermediate(dir, h.purpose, root)
		// The certificate is written last: without it nothing was issued, whatever else is there.
		if errors.Is(err, fs.ErrNotExist) && h.cert == nil && h.optional {
			err = nil
		}
		if err != nil {
			return authority{}, err
		}
	}
	if names := a.hosts.cert.PermittedURIDomains; !slices.Equal(names, []string{cluster}) {
		return authority{}, &FileError{dir, fmt.Sprintf("is the CA of cluster %q, not of %q", names, cluster),
			"name the directory of this cluster's CA, or correct the name in cluster.yaml", nil}
	}
	return a, nil
}

func readRoot(path string) (*x509.Certificate, error) {
	text, err := readFile(path, false)
	if err != nil {
		return nil, err
	}
	root, err := proof.ParseRoot(text)
	if err != nil {
		return nil, &FileError{path, "is damaged", restore, err}
	}
	return root, nil
}

func readIntermediate(dir string, p purpose, root *x509.Certificate) (issuer, error) {
	certPath, keyPath := filepath.Join(dir, p.file+".crt"), filepath.Join(dir, p.file+".key")
	cert, err := readCertificate(certPath)
	if err != nil {
		return issuer{}, err
	}
	if err := cert.CheckSignatureFrom(root); err != nil {
		return issuer{}, &FileError{certPath, "was not issued by " + rootCertFile, restore, err}
	}
	// The end of the name, because whose CA it is is said later, and better.
	if !cert.IsCA || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{p.usage}) || !strings.HasSuffix(cert.Subject.CommonName, " "+p.title) {
		return issuer{}, &FileError{certPath, "is not the intermediate certificate for " + p.title, restore, nil}
	}
	key, err := readKey(keyPath)
	if err != nil {
		return issuer{cert, nil}, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return issuer{}, &FileError{keyPath, "is not the key of " + p.file + ".crt", restore, nil}
	}
	return issuer{cert, key}, nil
}

func (a *authority) checkTime(dir string, now time.Time) error {
	needed := []*x509.Certificate{a.root}
	for _, h := range a.held() {
		if !h.optional { // what only operators lack keeps no host waiting
			needed = append(needed, h.cert)
		}
	}
	for _, cert := range needed {
		if now.Before(cert.NotBefore) {
			return &FileError{dir, fmt.Sprintf("certificate %q begins at %s, after now (%s)", cert.Subject.CommonName,
				cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)), "set this machine's clock", nil}
		}
		if now.After(cert.NotAfter) {
			remedy := "put " + rootKeyFile + " back into this directory and start again: the intermediates are then renewed"
			if cert == a.root {
				remedy = "make a new CA and push to the hosts again"
			}
			return &FileError{dir, fmt.Sprintf("certificate %q expired at %s", cert.Subject.CommonName,
				cert.NotAfter.UTC().Format(time.RFC3339)), remedy, nil}
		}
	}
	return nil
}

// Cluster is the name of the cluster whose hosts this CA names.
func (c *CA) Cluster() string { return c.cluster }

// NotAfter is when the first of the certificates expires that hosts need. That for operators is not among them.
func (c *CA) NotAfter() time.Time {
	at := c.at.Load()
	first := at.root.NotAfter
	for _, h := range at.held() {
		if !h.optional {
			first = earliest(first, h.cert.NotAfter)
		}
	}
	return first
}

// RootPEM is the certificate that goes into a seed, the one that hosts trust. While the root is being rotated it is the
// new one.
func (c *CA) RootPEM() []byte { return encodeCertificate(c.at.Load().root.Raw) }

// Roots are the root certificates that hosts are to trust, in DER, the newest first: two while the root is being rotated.
func (c *CA) Roots() [][]byte {
	var all [][]byte
	for _, root := range c.at.Load().roots() {
		all = append(all, root.Raw)
	}
	return all
}

// ClientPool verifies certificates of hosts and operators: chains to the root, or to one of the two while it is being
// rotated, that are for clients. Who the client is says Client.
func (c *CA) ClientPool() *x509.CertPool { return c.at.Load().pool }

// checkCluster wants a DNS label, because the name is the host part of every URI.
func checkCluster(name string) error {
	if err := checkLabel(name); err != nil {
		return fmt.Errorf("cluster name: %w", err)
	}
	return nil
}

// checkLabel accepts a DNS label (RFC 1123, 2.1) in lower case.
func checkLabel(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	ok := len(name) >= 1 && len(name) <= 63 && name[0] != '-' && name[len(name)-1] != '-' && strings.Trim(name, letters) == ""
	if !ok {
		return fmt.Errorf("%.80q is not a DNS label: 1 to 63 of a-z, 0-9 and -, with no - at either end", name)
	}
	return nil
}
