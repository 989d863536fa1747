// Package manifest defines what the artifacts of one role are: the list that generation writes, the coordinator
// points to by digest, and the bootstrap agent installs from. It is data and its validation; it reads no files and
// reaches no network.
package manifest

// Format is the manifest format that this program writes and reads.
const Format = 1

// Digest is a SHA-256 in lower-case hexadecimal, the name of a blob.
type Digest string

// ConfigID names a generation: a digest over everything that went into it, in lower-case hexadecimal.
type ConfigID string

// Role is the name of a role that the bundle defines.
type Role string

// Arch is an architecture in Go's naming: amd64 or arm64.
type Arch string

// Manifest lists everything that a host of one role installs.
type Manifest struct {
	Format   int      `json:"format"`
	Cluster  string   `json:"cluster"`
	ConfigID ConfigID `json:"config_id"`
	Bundle   Bundle   `json:"bundle"`
	Role     Role     `json:"role"`
	// Counted is the number of members of a counted role, 0 for an open one.
	Counted  int       `json:"counted,omitempty"`
	Packages []Package `json:"packages"`
	Config   Blob      `json:"config"`
	Units    []Unit    `json:"units"`
	Late     LateTable `json:"late"`
	Checks   []Check   `json:"checks"`
	// Steps are the publisher's, in the order in which those of one moment run.
	Steps []Step `json:"steps,omitempty"`
	// Owners are the files of the config that do not belong to root, Directories those of the data.
	Owners      []OwnedFile `json:"owners,omitempty"`
	Directories []Directory `json:"directories,omitempty"`
	// Roster is the fixed membership of the counted roles when every member is listed in the cluster config. It
	// serves the installation without a coordinator.
	Roster map[Role][]Member `json:"roster,omitempty"`
	// Endpoint and Address are the cluster config's, for the installation without a coordinator too.
	Endpoint string    `json:"endpoint,omitempty"`
	Address  Detection `json:"address,omitzero"`
}

// Bundle says what the publisher shipped.
type Bundle struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Blob is one content-addressed file.
type Blob struct {
	Digest Digest `json:"digest"`
	// Size is the length in bytes of the blob as served.
	Size int64 `json:"size"`
	// Unpacked is the total length in bytes of the regular files inside.
	Unpacked int64 `json:"unpacked,omitempty"`
	// Entries is the number of archive members.
	Entries int `json:"entries,omitempty"`
}

// Package is a tar.zst of files that are the same on every host of an architecture.
type Package struct {
	Name  string        `json:"name"`
	Blobs map[Arch]Blob `json:"blobs"`
	// Links are the files of the package that appear in a well-known directory (bin, lib) of the generation.
	Links map[Arch][]string `json:"links,omitempty"`
}

// Unit is a systemd unit inside the config blob.
type Unit struct {
	// Name is the unit's full name on the host, such as demo-etcd.service.
	Name string `json:"name"`
	// Path is where the config blob has it, such as units/demo-etcd.service.
	Path string `json:"path"`
}

// LateTable says which late values stand behind the placeholders of this role's artifacts.
type LateTable struct {
	// Marker begins every placeholder; it is derived from all inputs, so no input can contain it.
	Marker string `json:"marker"`
	Slots  []Slot `json:"slots"`
}

// Slot is one distinct pair of a late value and its encoders; its index is the number in the placeholder.
type Slot struct {
	Ref    string   `json:"ref"`
	Encode []string `json:"encode,omitempty"`
}

// Member is one member of a counted role.
type Member struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Index   int    `json:"index"`
	Zone    string `json:"zone,omitempty"`
}
