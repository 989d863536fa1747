package identity

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Description is what people are told of a CA.
type Description struct {
	Certificates []Described
	// RootKey says whether the key of the root that issues is in the directory.
	RootKey bool
	// Rotation is nil when none is under way.
	Rotation *DescribedRotation
}

// Described is one certificate. Ending is one that issues nothing any more.
type Described struct {
	Name, Fingerprint   string
	NotBefore, NotAfter time.Time
	Ending              bool
}

// DescribedRotation is a rotation under way.
type DescribedRotation struct {
	Started time.Time
	// Intermediates says that the root stays.
	Intermediates bool
}

// Describe tells of the CA as it is.
func (c *CA) Describe() (Description, error) {
	at := c.at.Load()
	var d Description
	add := func(name string, cert *x509.Certificate, ending bool) {
		if cert != nil {
			d.Certificates = append(d.Certificates, Described{name, Fingerprint(cert.Raw), cert.NotBefore, cert.NotAfter, ending})
		}
	}
	list := func(a *authority, ending bool) {
		if !ending || !a.root.Equal(at.root) {
			add("root", a.root, ending)
		}
		for _, h := range a.held() {
			add(h.title, h.cert, ending)
		}
	}
	list(&at.authority, false)
	if r := at.rotation; r != nil {
		list(&r.before, true)
		d.Rotation = &DescribedRotation{r.started, r.before.root.Equal(at.root)}
	}
	_, keyDir, err := places(c.dir)
	if err != nil {
		return d, err
	}
	_, err = os.Stat(filepath.Join(keyDir, rootKeyFile))
	d.RootKey = err == nil
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return d, err
}

// HostIssuer is the fingerprint of the intermediate that issues certificates of hosts.
func (c *CA) HostIssuer() string { return Fingerprint(c.at.Load().hosts.cert.Raw) }
