// Package credential is the file with which an operator on another machine calls the coordinator: who the operator is,
// where the coordinator is, the one CA to trust, and a key. It knows files and TLS; it must not know of commands, of gRPC,
// or of what the operator may do, which the coordinator decides at each call.
package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/proof"
)

const (
	format      = 1
	headBlock   = "MUSTER CREDENTIAL"
	certBlock   = "CERTIFICATE"
	keyBlock    = "PRIVATE KEY"
	maxFileSize = 64 << 10
	remake      = "ask an admin for a new one: coordinator operator create NAME --level LEVEL --out FILE"
)

// Credential is what is in the file.
type Credential struct {
	Cluster, Operator string
	// Coordinators are where to call unless something else is said, as host:port, in the order of trying.
	Coordinators []string
	// Root is the CA certificate in PEM; Chain the operator's own and its intermediate in DER.
	Root  []byte
	Chain [][]byte
	Key   *ecdsa.PrivateKey
}

// head is the part of the file that is no certificate and no key.
type head struct {
	Format       int      `json:"format"`
	Cluster      string   `json:"cluster"`
	Operator     string   `json:"operator"`
	Coordinators []string `json:"coordinators"`
}

// Encode makes the content of the file: PEM blocks in a fixed order. It holds the key.
func (c *Credential) Encode() ([]byte, error) {
	text, err := json.Marshal(head{format, c.Cluster, c.Operator, c.Coordinators})
	if err != nil {
		return nil, err
	}
	key, err := proof.MarshalKey(c.Key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(pem.EncodeToMemory(&pem.Block{Type: headBlock, Bytes: text}))
	b.Write(c.Root)
	for _, der := range c.Chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der}))
	}
	b.Write(key)
	// What would not be read must not be written.
	if _, err := Parse(b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Parse reads what Encode made, and nothing else. Its errors hold nothing of the key.
func Parse(text []byte) (*Credential, error) {
	blocks, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(blocks) != 5 {
		return nil, fmt.Errorf("%d PEM blocks, want 5", len(blocks))
	}
	for i, kind := range []string{headBlock, certBlock, certBlock, certBlock, keyBlock} {
		if blocks[i].Type != kind || len(blocks[i].Headers) > 0 {
			return nil, fmt.Errorf("PEM block %d is not a plain %q", i+1, kind)
		}
	}
	var h head
	decoder := json.NewDecoder(bytes.NewReader(blocks[0].Bytes))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&h); err != nil || decoder.More() {
		return nil, fmt.Errorf("its first block is damaged")
	}
	if h.Format != format {
		return nil, fmt.Errorf("it has format %d, this program reads %d", h.Format, format)
	}
	c := &Credential{Cluster: h.Cluster, Operator: h.Operator, Coordinators: h.Coordinators, Root: pem.EncodeToMemory(blocks[1])}
	if _, err := proof.ParseRoot(c.Root); err != nil {
		return nil, err
	}
	c.Chain = [][]byte{blocks[2].Bytes, blocks[3].Bytes}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return nil, errors.New("its certificate is damaged")
	}
	if c.Key, err = proof.ParseKey(pem.EncodeToMemory(blocks[4])); err != nil {
		return nil, err
	}
	if !c.Key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("its key is not that of its certificate")
	}
	return c, nil
}

// split takes PEM blocks apart and lets nothing stand between them.
func split(text []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for text = bytes.TrimSpace(text); len(text) > 0; text = bytes.TrimSpace(text) {
		if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
			return nil, errors.New("there is text outside of its PEM blocks")
		}
		block, rest := pem.Decode(text)
		if block == nil || bytes.Contains(text[len("-----BEGIN "):len(text)-len(rest)], []byte("-----BEGIN ")) {
			return nil, errors.New("a PEM block is damaged")
		}
		blocks, text = append(blocks, block), rest
	}
	return blocks, nil
}

// Expires is the end of the certificate.
func (c *Credential) Expires() time.Time {
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

// TLS is how to call the coordinator under the name serverName, which its certificate must have.
func (c *Credential) TLS(serverName string) (*tls.Config, error) {
	return proof.ClientTLS(c.Root, &tls.Certificate{Certificate: c.Chain, PrivateKey: c.Key}, serverName, time.Now)
}

// Read reads a credential from a file that nobody but its owner can read.
func Read(path string) (*Credential, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "name it with --credential or MUSTER_CREDENTIAL, or "+remake, "there is no credential in %s", path)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "name a credential that you can read", "the credential cannot be read").Because(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxFileSize:
		return nil, fault.New(fault.Invalid, "name the file that coordinator operator create wrote", "%s is no credential", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(fault.Denied, "if nobody else has read it: chmod 600 "+path+"; if somebody may have: ask an admin to revoke it and for a new one",
			"the credential %s holds a key that others can read (mode %s)", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize))
	if err != nil {
		return nil, fault.New(fault.Invalid, "name a credential that you can read", "the credential cannot be read").Because(err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, remake, "%s is no credential, or is damaged", path).Because(err)
	}
	return c, nil
}

// File is a place for a credential that is kept free for it.
type File struct{ f *os.File }

// Reserve makes an empty private file at path. What is there already is never replaced: it may be the only copy of a key.
func Reserve(path string) (*File, error) {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault.New(fault.Invalid, "choose another --out", "the directory of %s cannot be made", path).Because(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.New(fault.Conflict, "choose another --out, or move it away", "%s exists and is not overwritten", path)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "choose another --out", "the credential cannot be written").Because(err)
	}
	return &File{f}, nil
}

// Write fills the file; when it returns nil, the content is on disk.
func (f *File) Write(c *Credential) error {
	text, err := c.Encode()
	if err == nil {
		_, err = f.f.Write(text)
	}
	if err == nil {
		err = f.f.Sync()
	}
	if err = errors.Join(err, f.f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.f.Name()))
	}
	return durable.SyncDir(filepath.Dir(f.f.Name()))
}

// Release gives the place back, when nothing is to be written.
func (f *File) Release() { _ = errors.Join(f.f.Close(), os.Remove(f.f.Name())) }
