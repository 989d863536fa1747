package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strconv"

	"muster/internal/config"
	"muster/internal/manifest"
)

// inputs are everything that a generation is made of. Their encoding is canonical: encoding/json writes fields in the
// order of the type and maps in the order of their keys. Nothing in it depends on the machine, the user or the time.
type inputs struct {
	Format  int      `json:"format"`
	Packing string   `json:"packing"`
	Cluster expanded `json:"cluster"`
	// Bundle is what bundle.yaml says, Texts are the digests of the templates and scripts by path.
	Bundle config.Bundle              `json:"bundle"`
	Texts  map[string]manifest.Digest `json:"texts"`
	// Packages are the digests of the packages' trees.
	Packages map[string]map[manifest.Arch]manifest.Digest `json:"packages"`
	Agents   map[manifest.Arch]manifest.Digest            `json:"agents"`
}

func (i inputs) digest() ([32]byte, error) {
	data, err := json.Marshal(i)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(append([]byte("muster generation\n"), data...)), nil
}

func configID(digest [32]byte) manifest.ConfigID {
	return manifest.ConfigID(hex.EncodeToString(digest[:]))
}

func digestOf(data []byte) manifest.Digest {
	sum := sha256.Sum256(data)
	return manifest.Digest(hex.EncodeToString(sum[:]))
}

// digestFile gives the digest and length of a file.
func digestFile(path string) (manifest.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return manifest.Blob{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return manifest.Blob{}, err
	}
	return manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(h.Sum(nil))), Size: n}, nil
}

// memberName is what a member is called that the cluster config lists by its address alone. A manifest's roster needs
// a name for everybody.
func memberName(role manifest.Role, index int) string {
	return string(role) + "-" + strconv.Itoa(index)
}
