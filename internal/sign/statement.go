package sign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"muster/internal/manifest"
)

// Format is the statement format that this program writes and reads.
const Format = 1

// MaxVersion is the highest version: what every reader of JSON keeps exactly.
const MaxVersion = 1 << 53

// Statement says what a generation consists of. Everything in it is named by digest and length.
type Statement struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	// ClusterID tells clusters apart that have one name and one set of keys.
	ClusterID string            `json:"cluster_id"`
	ConfigID  manifest.ConfigID `json:"config_id"`
	// Version grows with every statement of a cluster.
	Version uint64 `json:"version"`
	// Expires bounds for how long a mirror can hide that there is something newer.
	Expires time.Time `json:"expires"`
	// Keys and Threshold are those of this generation. The coordinator takes over new ones when enough of the old
	// keys have signed them.
	Keys      []string                        `json:"keys"`
	Threshold int                             `json:"threshold"`
	Manifests map[manifest.Role]manifest.Blob `json:"manifests"`
	Agents    map[manifest.Arch]manifest.Blob `json:"agents"`
	// Files are those that have names, by their paths: install.sh, generation.json, user-data and so on.
	Files map[string]manifest.Blob `json:"files"`
}

// Encode gives the bytes that are signed.
func (s *Statement) Encode() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// decodeStatement reads a verified payload, in the form that Encode writes and no other.
func decodeStatement(payload []byte) (*Statement, error) {
	s := new(Statement)
	if err := manifest.Decode(payload, s); err != nil {
		return nil, fmt.Errorf("the statement: %w", err)
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// Signing is who may sign what follows this generation.
func (s *Statement) Signing() manifest.Signing {
	return manifest.Signing{ID: s.ClusterID, Keys: s.Keys, Threshold: s.Threshold}
}

func (s *Statement) validate() error {
	bad := func(format string, args ...any) error { return fmt.Errorf("the statement: "+format, args...) }
	switch {
	case s.Format != Format:
		return bad("format %d, this program reads %d", s.Format, Format)
	case !manifest.IsLabel(s.Cluster):
		return bad("cluster %.80q is not a DNS label", s.Cluster)
	case !s.ConfigID.Valid():
		return bad("config id %.80q is not a digest", s.ConfigID)
	case s.Version < 1 || s.Version > MaxVersion:
		return bad("version %d, wanted is 1 to %d", s.Version, uint64(MaxVersion))
	case s.Expires.IsZero() || s.Expires.Location() != time.UTC || s.Expires.Nanosecond() != 0:
		return bad("it must expire at a whole second in UTC")
	case len(s.Manifests) == 0:
		return bad("it has no roles")
	}
	if _, err := Keys(s.Signing()); err != nil {
		return bad("%w", err)
	}
	for role, b := range s.Manifests {
		if err := validEntry(b, manifest.IsLabel(string(role))); err != nil {
			return bad("manifest of role %.64q is not valid: %w", role, err)
		}
	}
	for arch, b := range s.Agents {
		if err := validEntry(b, arch.Valid()); err != nil {
			return bad("bootstrap agent for %.20q: %w", arch, err)
		}
	}
	for path, b := range s.Files {
		if err := validEntry(b, fs.ValidPath(path) && path != "."); err != nil {
			return bad("file %.200q: %w", path, err)
		}
	}
	return nil
}

func validEntry(b manifest.Blob, validName bool) error {
	switch {
	case !validName:
		return errors.New("not a valid name")
	case !b.Digest.Valid() || b.Size <= 0 || b.Unpacked != 0 || b.Entries != 0:
		return errors.New("not a digest with a length")
	}
	return nil
}
