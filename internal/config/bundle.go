package config

import (
	"time"

	"muster/internal/checks"
	"muster/internal/manifest"
)

// Bundle is a publisher's bundle.yaml, validated. Paths are relative to Dir.
type Bundle struct {
	// Dir is the directory of bundle.yaml.
	Dir      string
	Name     string
	Version  string
	Summary  string
	Roles    []Role
	Packages []Package
	Files    []File
	// Directories are made below /var/lib/<cluster> before anything of the bundle runs, the outer ones first.
	Directories []Directory
	Units       []Unit
	Checks      []Check
	// Steps run in this order among those of the same moment.
	Steps []Step
	// Rules hold between parameters, beyond what the schema can say.
	Rules   []Rule
	Secrets []manifest.Secret
	// Schema is the JSON Schema 2020-12 of the operator's parameters, as decoded JSON values. Objects are closed:
	// where it says neither additionalProperties nor unevaluatedProperties, unknown parameters are refused.
	Schema map[string]any

	// schema is Schema compiled. A Bundle that was not made by this package has none until it is needed.
	schema *schema
}

// Role is a part that a host can play.
type Role struct {
	Name    manifest.Role
	Summary string
	// Counts are the allowed numbers of members of a counted role, ascending; none for an open role.
	Counts []int
	// After names roles whose members must be done before hosts of this role install.
	After []manifest.Role
	// Spread keeps the members of a counted role apart; nil if it does not matter where they are.
	Spread *manifest.Spread
	// Upgrade is how hosts of this role take a new generation; nil if the bundle does not say.
	Upgrade *manifest.Upgrade
}

// Counted says whether the role has a fixed number of members.
func (r Role) Counted() bool { return len(r.Counts) > 0 }

// Package is a tree of files for each architecture. Of the sources at least one existed when the bundle was loaded.
type Package struct {
	Name string
	// Roles are the roles that the package is for; one that names none in bundle.yaml has all of them. The same
	// holds for files, units and checks.
	Roles []manifest.Role
	// Sources has the same source for every architecture when bundle.yaml says all.
	Sources map[manifest.Arch]Source
}

// File is a template whose output lands at Path below the generation directory.
type File struct {
	Path     string
	Roles    []manifest.Role
	Template string
	Mode     uint32
	// ModeGiven says that the publisher chose the mode. One with a secret inside is otherwise for its owner alone.
	ModeGiven bool
	manifest.Owner
}

// Unit is a template of a systemd service that becomes <cluster>-<name>.service.
type Unit struct {
	Name     string
	Roles    []manifest.Role
	Template string
}

// Check is a check with the roles that it is for. Probe arguments are templates; Script is the path of one.
type Check struct {
	Name    string
	Stage   checks.Stage
	Roles   []manifest.Role
	Summary string
	Probe   string
	With    map[string]string
	Script  string
	// Severity is critical or warning.
	Severity string
	Remedy   string
	Timeout  time.Duration
	RetryFor time.Duration
}
