package manifest

// Generation is one run's complete output, as generation.json says it. It holds nothing secret.
type Generation struct {
	Format      int         `json:"format"`
	Cluster     string      `json:"cluster"`
	ConfigID    ConfigID    `json:"config_id"`
	Bundle      Bundle      `json:"bundle"`
	Coordinator Coordinator `json:"coordinator"`
	Roles       []RoleEntry `json:"roles"`
	Hosts       []Listed    `json:"hosts,omitempty"`
	// Secrets are declared here; their values are not.
	Secrets []Secret `json:"secrets,omitempty"`
	// Agents are the bootstrap agent's binaries.
	Agents   map[Arch]Blob `json:"agents"`
	Endpoint string        `json:"endpoint,omitempty"`
	// Resident says that hosts keep the bootstrap agent when they are done.
	Resident bool      `json:"resident,omitempty"`
	Address  Detection `json:"address"`
	SSH      SSH       `json:"ssh"`
	// Files are the other files that have names, by their paths relative to generation.json.
	Files map[string]Blob `json:"files,omitempty"`
	// Signing is nil where generations are not signed.
	Signing *Signing `json:"signing,omitempty"`
	// Attestation is nil where hosts join by tokens alone.
	Attestation *Attestation `json:"attestation,omitempty"`
}

// Coordinator is how hosts reach the coordinator.
type Coordinator struct {
	Addresses []string `json:"addresses"`
	HTTPPort  int      `json:"http_port"`
	GRPCPort  int      `json:"grpc_port"`
}

// RoleEntry is one role with its manifest and the operator's word on who gets it.
type RoleEntry struct {
	Name Role `json:"name"`
	// Count is the number of members of a counted role, 0 for an open one.
	Count             int               `json:"count,omitempty"`
	After             []Role            `json:"after,omitempty"`
	Select            map[string]string `json:"select,omitempty"`
	AllowSharedTokens bool              `json:"allow_shared_tokens,omitempty"`
	// Zones are those that the members of a counted role are spread over, if the operator says so.
	Zones []string `json:"zones,omitempty"`
	// TakeOver is how long a member is not heard of before a spare takes its place, 0 for never.
	TakeOver Span     `json:"take_over,omitzero"`
	Spread   *Spread  `json:"spread,omitempty"`
	Upgrade  *Upgrade `json:"upgrade,omitempty"`
	Manifest Blob     `json:"manifest"`
}

// Listed is one host, or all hosts of a CIDR, that the cluster config binds to a role.
type Listed struct {
	Name    string            `json:"name,omitempty"`
	Address string            `json:"address,omitempty"`
	CIDR    string            `json:"cidr,omitempty"`
	Role    Role              `json:"role"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// Detection chooses a host's own address: the one on the route to the coordinator, or inside CIDR, or of Interface.
type Detection struct {
	CIDR      string `json:"cidr,omitempty"`
	Interface string `json:"interface,omitempty"`
}

// SSH is how push logs in.
type SSH struct {
	User string `json:"user,omitempty"`
	Port int    `json:"port"`
}
