package config

// legacyRoles say which list of the ancestor's config became which role.
var legacyRoles = []struct{ key, role string }{
	{"master_list", "master"}, {"agent_list", "agent"}, {"public_agent_list", "public-agent"},
}

// legacyDiscovery says which way of the ancestor's discovery became which, and where it kept the address.
var legacyDiscovery = map[string]struct {
	discovery Discovery
	address   string
}{
	"static":                   {DiscoveryStatic, ""},
	"master_http_loadbalancer": {DiscoveryEndpoint, "exhibitor_address"},
	"vrrp":                     {DiscoveryEndpoint, "keepalived_virtual_ipaddress"},
}

// legacyReason is why a key of the ancestor has no place in cluster.yaml, and what to do instead.
type legacyReason struct{ reason, remedy string }

const (
	rosterReason = "the roster takes the place of Exhibitor's shared state"
	rosterRemedy = "leave it out; discovery of masters needs nothing beside the coordinator"
	pushReason   = "how to log in with SSH, beyond user and port, is said on the command line"
	detectReason = "a host's address is detected without a script"
	detectRemedy = "leave it out, or set address: {cidr: …} or {interface: …} if the address on the route to the coordinator is the wrong one"
)

// legacyReasons are the keys of the ancestor that people have in their files and that Muster has another way for. A
// parameter of the bundle goes before an entry here.
var legacyReasons = map[string]legacyReason{
	"exhibitor_storage_backend":   {rosterReason, rosterRemedy},
	"exhibitor_zk_hosts":          {rosterReason, rosterRemedy},
	"exhibitor_zk_path":           {rosterReason, rosterRemedy},
	"exhibitor_fs_config_dir":     {rosterReason, rosterRemedy},
	"exhibitor_explicit_keys":     {rosterReason, rosterRemedy},
	"aws_access_key_id":           {rosterReason, rosterRemedy},
	"aws_region":                  {rosterReason, rosterRemedy},
	"aws_secret_access_key":       {rosterReason, rosterRemedy},
	"s3_bucket":                   {rosterReason, rosterRemedy},
	"s3_prefix":                   {rosterReason, rosterRemedy},
	"num_masters":                 {"the number of masters is roles.master.count", "set roles.master.count"},
	"ip_detect_path":              {detectReason, detectRemedy},
	"ip_detect_filename":          {detectReason, detectRemedy},
	"ip_detect_contents":          {detectReason, detectRemedy},
	"ip_detect_public_filename":   {detectReason, detectRemedy},
	"ssh_key_path":                {pushReason, "give the key to `coordinator push --identity`"},
	"ssh_parallelism":             {pushReason, "see `coordinator push --help`"},
	"process_timeout":             {pushReason, "see `coordinator push --help`"},
	"genconf_dir":                 {"the directory is said on the command line", "use `coordinator genconf --out`"},
	"bootstrap_id":                {"the config id takes its place", "leave it out"},
	"bootstrap_variant":           {"the bundle is the variant", "leave it out"},
	"provider":                    {"hosts of all clouds join alike", "leave it out"},
	"platform":                    {"hosts of all clouds join alike", "leave it out"},
	"cluster_docker_credentials":  {"secrets have no place in a cluster config", "hand them over as secrets of the bundle, if it asks for them"},
	"superuser_password_hash":     {"secrets have no place in a cluster config", "hand it over as a secret of the bundle, if it asks for it"},
	"config_id":                   {"it is computed from all inputs", "leave it out"},
	"package_ids":                 {"the bundle says what is installed", "leave it out"},
	"num_private_agents":          {"open roles take as many hosts as come", "leave it out"},
	"num_public_agents":           {"open roles take as many hosts as come", "leave it out"},
	"bootstrap_tmp_dir":           {"the agent uses directories of its own and removes them", "leave it out"},
	"channel_name":                {"the bundle has the version", "leave it out"},
	"custom_checks":               {"checks are the bundle's", "add them to the bundle's checks"},
	"check_config":                {"checks are the bundle's", "add them to the bundle's checks"},
	"onprem_dcos_config_contents": {"it is the ancestor's own bookkeeping", "leave it out"},
	"master_quorum":               {"it follows from the number of masters", "leave it out"},
}
