package artifacts

import "muster/internal/manifest"

// Options say what a generation is made of besides the cluster config, and where it goes.
type Options struct {
	// Agents are the paths of the bootstrap agent's binaries.
	Agents map[manifest.Arch]string
	// Out is the directory of the generation. A generation that is there already is replaced; anything else that is
	// there is an error.
	Out string
	// Progress is told in short sentences what is going on; it may be nil and is called by one goroutine at a time.
	Progress func(string)
}

// Names in the directory of a generation.
const (
	generationFile = "generation.json"
	configFile     = "config.json"
	installFile    = "install.sh"
	packedFile     = "packed.json"
	blobsDir       = "blobs"
	rolesDir       = "roles"
	manifestFile   = "manifest.json"
	userDataFile   = "user-data"
)
