package artifacts

import (
	"crypto/ed25519"
	"time"

	"muster/internal/manifest"
)

// Options say what a generation is made of besides the cluster config, and where it goes.
type Options struct {
	// Agents are the paths of the bootstrap agent's binaries.
	Agents map[manifest.Arch]string
	// Out is the directory of the generation. A generation that is there already is replaced; anything else that is
	// there is an error.
	Out string
	// Progress is told in short sentences what is going on; it may be nil and is called by one goroutine at a time.
	Progress func(string)
	// Keep is how many of the generations before this one stay in Out, with their blobs.
	Keep int
	// SignKeys sign the generation. Version is that of its statement, the one after the previous if 0.
	SignKeys []ed25519.PrivateKey
	Version  uint64
	// Now is when the statement is made, the present if zero. Nothing else depends on it.
	Now time.Time
}

func (o Options) now() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// Names in the directory of a generation.
const (
	generationFile = "generation.json"
	configFile     = "config.json"
	installFile    = "install.sh"
	packedFile     = "packed.json"
	sbomFile       = "sbom.spdx.json"
	blobsDir       = "blobs"
	rolesDir       = "roles"
	manifestFile   = "manifest.json"
	userDataFile   = "user-data"
)
