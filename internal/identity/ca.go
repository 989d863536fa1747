package identity

import (
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muster/internal/proof"
)

const (
	rootCertFile = "root.crt"
	rootKeyFile  = "root.key"
)

// CA issues the certificates of one cluster. It holds the keys of the intermediates and never that of the root, which
// an operator can take away from the machine. It is safe for concurrent use.
type CA struct {
	cluster string
	root    *x509.Certificate
	hosts   issuer
	servers issuer
}

// Load reads the CA of a cluster from its directory, and fails unless it can issue certificates now. root.key may be
// missing; what is present must be whole, private and belong together.
func Load(dir, cluster string, now time.Time) (*CA, error) {
	ca, err := read(dir, cluster)
	if err != nil {
		return nil, err
	}
	if err := ca.checkTime(dir, now); err != nil {
		return nil, err
	}
	return ca, nil
}

func read(dir, cluster string) (*CA, error) {
	if err := checkCluster(cluster); err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	rootPath := filepath.Join(dir, rootCertFile)
	text, err := readFile(rootPath, false)
	if err != nil {
		return nil, err
	}
	root, err := proof.ParseRoot(text)
	if err != nil {
		return nil, &FileError{rootPath, "is damaged", restore, err}
	}
	if _, err := readRootKey(dir, root); err != nil {
		return nil, err
	}
	ca := &CA{cluster: cluster, root: root}
	if ca.hosts, err = readIntermediate(dir, forHosts, root); err != nil {
		return nil, err
	}
	if ca.servers, err = readIntermediate(dir, forServers, root); err != nil {
		return nil, err
	}
	if names := ca.hosts.cert.PermittedURIDomains; !slices.Equal(names, []string{cluster}) {
		return nil, &FileError{dir, fmt.Sprintf("is the CA of cluster %q, not of %q", names, cluster),
			"name the directory of this cluster's CA, or correct the name in cluster.yaml", nil}
	}
	return ca, nil
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
	if !cert.IsCA || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{p.usage}) {
		return issuer{}, &FileError{certPath, "is not the intermediate certificate for " + p.title, restore, nil}
	}
	key, err := readKey(keyPath)
	if err != nil {
		return issuer{}, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return issuer{}, &FileError{keyPath, "is not the key of " + p.file + ".crt", restore, nil}
	}
	return issuer{cert, key}, nil
}

func (c *CA) checkTime(dir string, now time.Time) error {
	for _, cert := range []*x509.Certificate{c.root, c.hosts.cert, c.servers.cert} {
		if now.Before(cert.NotBefore) {
			return &FileError{dir, fmt.Sprintf("certificate %q begins at %s, after now (%s)", cert.Subject.CommonName,
				cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)), "set this machine's clock", nil}
		}
		if now.After(cert.NotAfter) {
			remedy := "put " + rootKeyFile + " back into this directory and start again: the intermediates are then renewed"
			if cert == c.root {
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

// NotAfter is when the first of the CA's certificates expires and it can issue nothing more.
func (c *CA) NotAfter() time.Time {
	return earliest(c.root.NotAfter, earliest(c.hosts.cert.NotAfter, c.servers.cert.NotAfter))
}

// RootPEM is the certificate that goes into a seed, the one that hosts trust.
func (c *CA) RootPEM() []byte { return encodeCertificate(c.root.Raw) }

// ClientPool verifies certificates of hosts: chains to the root that are for clients. Who the client is says
// proof.HostFromCertificate.
func (c *CA) ClientPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.root)
	return pool
}

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
