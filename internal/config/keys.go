package config

import (
	"fmt"
	"strings"

	"muster/internal/manifest"
)

// keyInfo is what people are told of one of cluster.yaml's own keys. What init writes, what explain says and what an
// editor shows comes from this table.
type keyInfo struct {
	key string
	// what it is for, and what may be written.
	what, terms string
	// fallback is the value when nothing is said.
	fallback any
}

// keyInfos has the keys in the order in which people think of them. A * stands for any role, secret or policy, [] for any host.
var keyInfos = []keyInfo{
	{"cluster", "Names the installation on every host: it lives in /opt/<cluster> and /var/lib/<cluster>.", fmt.Sprintf("at most %d lower-case letters, digits and hyphens", maxClusterName), nil},
	{"bundle", "The bundle's directory, or the file that it is in, relative to this file.", "relative path", nil},
	{"bundle_sha256", "The SHA-256 that a bundle in one file must have.", "64 hexadecimal digits", nil},
	{"coordinator", "How hosts reach the coordinator.", "mapping", nil},
	{"coordinator.addresses", "Addresses or names of the machine that the coordinator runs on, without ports, tried in this order.", "list of at least 1 item, each a host name or an IP address", nil},
	{"coordinator.http_port", "TCP port for artifacts.", "whole number from 1 to 65535, other than grpc_port", int64(defaultHTTPPort)},
	{"coordinator.grpc_port", "TCP port for enrolment and synchronisation.", "whole number from 1 to 65535, other than http_port", int64(defaultGRPCPort)},
	{"roles", "What there is to say about the bundle's roles.", "mapping of roles", nil},
	{"roles.*", "", "mapping", nil},
	{"roles.*.count", "How many hosts have the role.", "", nil},
	{"roles.*.select", "Labels that a host must have to be given the role when nothing else decides.", "mapping of labels to text", nil},
	{"roles.*.allow_shared_tokens", "Lets a join token of several uses be bound to this role.", "true or false", false},
	{"roles.*.zones", "The zones that the members are spread over, as evenly as their number allows; a host that would be one too many in its zone waits.", "list of at least 1 item, each the name of a zone", nil},
	{"roles.*.take_over", "For how long a member is not heard of until a spare that waits takes its place; without it only `coordinator hosts replace` gives it one. Needs resident.", "duration from " + short(minTakeOver) + " to " + short(maxTakeOver), nil},
	{"hosts", "Hosts whose role is known beforehand. Hosts that are not listed are given a role when they join.", "list of hosts, each with a role and one of address, name and cidr", nil},
	{"hosts[].name", "The host's name.", "host name", nil},
	{"hosts[].address", "The address at which the other hosts reach this one.", "IP address", nil},
	{"hosts[].cidr", "A network whose hosts all have the role.", "network in CIDR notation, such as 10.1.0.0/16", nil},
	{"hosts[].role", "The role of the host.", "", nil},
	{"hosts[].labels", "Labels of the host; zone says in which zone it is.", "mapping of labels to text", nil},
	{"address", "How a host finds its own address. Without it: the address on the route to the coordinator.", "cidr or interface", nil},
	{"address.cidr", "A host's own address is the one inside this network.", "network in CIDR notation, such as 10.0.0.0/8", nil},
	{"address.interface", "A host's own address is that of this interface.", "name of a network interface, such as eth0", nil},
	{"endpoint", "The name or address under which the whole installation is reached, such as a load balancer.", "host, or host and port", nil},
	{"discovery", "How other hosts find the members of the counted roles: listed in this file, told by the coordinator, or through the endpoint.", "static, coordinator or endpoint", string(DiscoveryCoordinator)},
	{"resident", "Hosts keep the bootstrap agent when they are done: it tells how they are, and follows when a member of a counted role is replaced. Without it, it removes itself.", "true or false", false},
	{"parameters", "The settings of the software. What is not said has the bundle's default.", "mapping of the bundle's parameters", nil},
	{"secrets", "Where the values of the bundle's secrets come from. The values themselves never stand in this file.", "mapping of the bundle's secrets", nil},
	{"secrets.*", "", "one of {file: path, relative to this file}, {env: NAME} and {set: true}", nil},
	{"signing", "Whose word on a generation counts. Without it, generations are not signed.", "mapping", nil},
	{"signing.id", "Tells clusters apart that have one name and one set of keys. Without it: the cluster's name.", "lower-case letters, digits and hyphens", nil},
	{"signing.keys", "Public keys as `coordinator key public` prints them, or files with one, relative to this file.", "list of at least 1 item, each a key in base64 or a relative path", nil},
	{"signing.threshold", "How many of the keys must have signed. Without it: all.", "whole number from 1 to the number of keys", nil},
	{"signing.expires", "How long a signed generation is good.", "duration, such as 720h", "720h"},
	{"attestation", "Hosts that join by the word of their cloud instead of a token.", "mapping", nil},
	{"attestation.aws", "Instances of AWS EC2, which join with their instance identity document.", "mapping", nil},
	{"attestation.aws.policies", "Who may join as what. User-data names one of them, and so holds no secret.", "mapping of names to policies", nil},
	{"attestation.aws.policies.*", "", "mapping", nil},
	{"attestation.aws.policies.*.role", "What the instances become.", "", nil},
	{"attestation.aws.policies.*.accounts", "The AWS accounts that the instances are of.", "list of at least 1 item, each 12 digits in quotes", nil},
	{"attestation.aws.policies.*.regions", "The regions that they run in.", "list of at least 1 item, each a region, such as eu-central-1", nil},
	{"attestation.aws.policies.*.images", "The images that they were launched from; required for a counted role, any image for others.", "list of image IDs, such as ami-0123456789abcdef0", nil},
	{"attestation.aws.policies.*.labels", "Labels of the instances. Their region, zone, instance-id and image are labels already.", "mapping of labels to text", nil},
	{"attestation.aws.policies.*.window", "For how long after its launch an instance may join.", "duration up to " + short(manifest.MaxAWSWindow), short(defaultAWSWindow)},
	{"attestation.aws.certificates", "Certificates of regions that are not built in, or have changed.", "mapping of regions to relative paths of PEM files", nil},
	{"ssh", "How `coordinator push` logs in. Keys are given on its command line.", "mapping", nil},
	{"ssh.user", "Whom to log in as: root, or a user who may use sudo or doas.", "user name", defaultSSHUser},
	{"ssh.port", "TCP port of the SSH server.", "whole number from 1 to 65535", int64(defaultSSHPort)},
}

// infoOf gives the entry of a key such as roles.master.count or hosts[3].name.
func infoOf(key string) (keyInfo, bool) {
	general := key
	if rest, ok := strings.CutPrefix(key, "roles."); ok {
		_, field, more := strings.Cut(rest, ".")
		general = "roles.*"
		if more {
			general += "." + field
		}
	}
	if strings.HasPrefix(key, "secrets.") {
		general = "secrets.*"
	}
	if rest, ok := strings.CutPrefix(key, "hosts["); ok {
		if _, field, more := strings.Cut(rest, "]."); more {
			general = "hosts[]." + field
		}
	}
	if rest, ok := strings.CutPrefix(key, policiesKey+"."); ok {
		_, field, more := strings.Cut(rest, ".")
		if general = policiesKey + ".*"; more {
			general += "." + field
		}
	}
	for _, info := range keyInfos {
		if info.key == general {
			return info, true
		}
	}
	return keyInfo{}, false
}

// numberOfHosts says how many hosts can have a role.
func (r Role) numberOfHosts() string {
	if !r.Counted() {
		return "any number of hosts"
	}
	if len(r.Counts) == 1 {
		return "always " + count(r.Counts[0], "host")
	}
	return choice(r.Counts) + " hosts"
}
