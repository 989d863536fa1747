package config

import (
	"net/netip"
	"time"

	"muster/internal/manifest"
)

// Cluster is an operator's cluster.yaml, validated against its bundle and with every default filled in.
type Cluster struct {
	// File is the path of cluster.yaml as it was given.
	File string
	// Name is a DNS label; the installation lives in /opt/<Name> and /var/lib/<Name>.
	Name        string
	Bundle      *Bundle
	Coordinator Coordinator
	// Roles has an entry for every role of the bundle.
	Roles map[manifest.Role]ClusterRole
	Hosts []Host
	// Parameters are the operator's values with the schema's defaults filled in, as decoded JSON values: whole
	// numbers are int64, others float64.
	Parameters map[string]any
	// Secrets are where values come from, never the values.
	Secrets  map[string]SecretSource
	SSH      SSH
	Endpoint string
	// Discovery is how other hosts find the members of the counted roles.
	Discovery Discovery
	// Resident says that hosts keep the bootstrap agent when they are done, so that they follow the roster and secrets.
	Resident bool
	// Address is how a host finds its own address.
	Address AddressDetection
	// Signing is whose word on a generation counts; nil if generations are not signed.
	Signing *manifest.Signing
	// Attestation is who may join by the word of their cloud; nil if nobody may.
	Attestation *manifest.Attestation
}

// Coordinator is how hosts reach the coordinator.
type Coordinator struct {
	// Addresses are IP addresses or host names, without ports.
	Addresses []string
	HTTPPort  int
	GRPCPort  int
}

// ClusterRole is what the operator says of one role.
type ClusterRole struct {
	// Count is the number of members of a counted role, 0 for an open one.
	Count int
	// Select lists labels that a host must have to be given this role when nothing else decides.
	Select map[string]string
	// AllowSharedTokens lets a token of several uses be bound to this counted role.
	AllowSharedTokens bool
	// Zones are those that the members of this counted role are spread over; none if nobody says.
	Zones []string
	// TakeOver is how long a member of this counted role is not heard of before a spare takes its place; 0 for never.
	TakeOver time.Duration
}

// Host is one line of the cluster config's list: a host, or all hosts of a CIDR, bound to a role. Exactly one of
// Address, CIDR and Name alone identifies it; Name may accompany Address.
type Host struct {
	Name    string
	Address netip.Addr
	CIDR    netip.Prefix
	Role    manifest.Role
	Labels  map[string]string
}

// SSH is how push logs in, as root on port 22 if nothing is said. Keys and known hosts belong to the operator's own
// machine and are given as flags.
type SSH struct {
	User string
	Port int
}

// AddressDetection chooses the host's own address: the one on the route to the coordinator by default, or the one
// inside CIDR, or that of Interface.
type AddressDetection struct {
	CIDR      netip.Prefix
	Interface string
}
