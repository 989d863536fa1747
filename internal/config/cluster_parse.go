package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/manifest"
)

const (
	defaultHTTPPort = 8080
	defaultGRPCPort = 8443
	defaultSSHUser  = "root"
	defaultSSHPort  = 22
)

// clusterParser reads a cluster.yaml into cluster. Without a bundle, what depends on one is not checked.
type clusterParser struct {
	cluster *Cluster
	bundle  *Bundle
	roles   []string
}

// read reads the top of the file.
func (p *clusterParser) read(c cursor) {
	k := p.cluster
	k.Coordinator = Coordinator{HTTPPort: defaultHTTPPort, GRPCPort: defaultGRPCPort}
	k.SSH = SSH{User: defaultSSHUser, Port: defaultSSHPort}
	k.Roles = map[manifest.Role]ClusterRole{}
	var roles, hosts, discovery, parameters, secrets, signing, attestation *cursor
	c.fields(
		must("cluster", "name the cluster, such as cluster: prod; the installation lives in /opt/<name>", func(c cursor) { k.Name = c.clusterName() }),
		must("bundle", "name the directory of the bundle, relative to this file, such as bundle: ../etcd", func(c cursor) { c.bundlePath() }),
		may("bundle_sha256", func(c cursor) { c.sha256() }),
		must("coordinator", "say how hosts reach the coordinator, such as coordinator: {addresses: [10.0.0.1]}", func(c cursor) { p.coordinator(c) }),
		may("roles", func(c cursor) { roles = &c }),
		may("hosts", func(c cursor) { hosts = &c }),
		may("address", func(c cursor) { k.Address = c.addressDetection() }),
		may("endpoint", func(c cursor) { k.Endpoint = c.endpoint() }),
		may("discovery", func(c cursor) { discovery = &c }),
		may("resident", func(c cursor) { k.Resident = c.boolean() }),
		may("parameters", func(c cursor) { parameters = &c }),
		may("secrets", func(c cursor) { secrets = &c }),
		may("signing", func(c cursor) { signing = &c }),
		may("attestation", func(c cursor) { attestation = &c }),
		may("ssh", func(c cursor) { k.SSH = c.ssh() }),
	)
	if signing != nil {
		k.Signing = signing.signing(k.Name)
	}
	// The hosts are checked against the counts, so the roles come first wherever they stand.
	p.readRoles(c, roles)
	if hosts != nil {
		p.readHosts(*hosts)
	}
	if attestation != nil {
		k.Attestation = p.attestation(*attestation)
	}
	p.readDiscovery(c, discovery)
	p.checkTakeOvers(c)
	p.readParameters(c, parameters)
	p.readSecrets(c, secrets)
}

// valueOf gives the value of a key of a mapping, the first if it stands twice, or nil.
func valueOf(c cursor, key string) *cursor {
	for k, v := range c.entries() {
		if k == key {
			return &v
		}
	}
	return nil
}

// bundlePath reads where the bundle is. An absolute path would be right on one machine only.
func (c cursor) bundlePath() (string, bool) {
	s, ok := c.text()
	switch {
	case !ok:
		return "", false
	case s == "" || strings.ContainsRune(s, 0):
		c.fail("must be a path, found "+quote(s), "name the directory of the bundle, such as ../etcd")
		return "", false
	case filepath.IsAbs(s):
		c.fail("must be relative to this file, found "+quote(s), "write the path from the directory of this file, such as ../etcd, so that it is right on every machine")
		return "", false
	}
	return s, true
}

func (p *clusterParser) coordinator(c cursor) {
	out := &p.cluster.Coordinator
	var httpPort, grpcPort *cursor
	c.fields(
		must("addresses", "list the addresses or names at which hosts reach the coordinator, such as [10.0.0.1]", func(c cursor) { out.Addresses = c.coordinatorAddresses() }),
		may("http_port", func(c cursor) { httpPort, out.HTTPPort = &c, c.port(defaultHTTPPort) }),
		may("grpc_port", func(c cursor) { grpcPort, out.GRPCPort = &c, c.port(defaultGRPCPort) }),
	)
	if out.HTTPPort == out.GRPCPort {
		at := grpcPort
		if at == nil {
			at = httpPort
		}
		at.fail(fmt.Sprintf("http_port and grpc_port are both %d", out.HTTPPort), "give one of them another number")
	}
}

func (c cursor) coordinatorAddresses() []string {
	var out []string
	seen := map[string]int{}
	c.items(func(_ int, c cursor) {
		s, ok := c.text()
		if !ok || !c.checkHost(s) {
			return
		}
		if first, ok := seen[strings.ToLower(s)]; ok {
			c.fail(fmt.Sprintf("%s is listed twice: first in line %d, again here", quote(s), first), "remove one of the two")
			return
		}
		seen[strings.ToLower(s)] = c.line()
		if a, err := netip.ParseAddr(s); err == nil && a.IsLoopback() || strings.EqualFold(s, "localhost") {
			c.warn(quote(s)+" reaches only the machine itself", "write an address that hosts can reach, unless every host is this machine")
		}
		out = append(out, s)
	})
	if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
		c.fail("must list at least one address", "list the addresses or names at which hosts reach the coordinator, such as [10.0.0.1]")
	}
	return out
}

// checkHost checks a host name or an address without scheme and port.
func (c cursor) checkHost(s string) bool {
	const remedy = "write a bare address or name, such as 10.0.0.1 or coordinator.example.com"
	a, err := netip.ParseAddr(s)
	switch {
	case strings.Contains(s, "://"):
		c.fail(quote(s)+" is a URL", "write only the host; the ports go to http_port and grpc_port")
	case err != nil && (isHostPort(s) || strings.HasPrefix(s, "[")):
		c.fail(quote(s)+" has a port or brackets", "write only the host; the ports go to http_port and grpc_port")
	case err == nil && a.Zone() != "":
		c.fail(quote(s)+" has a zone, which is right on one host only", remedy)
	case err == nil && (a.IsUnspecified() || a.IsMulticast()):
		c.fail(quote(s)+" is not the address of a host", remedy)
	case err != nil && looksLikeAddress(s):
		c.fail(quote(s)+" is not an IP address", remedy)
	case err != nil && !isHostName(s):
		c.fail(quote(s)+" is neither a host name nor an IP address", remedy)
	default:
		return true
	}
	return false
}

// addressLike is text that somebody wrote as an address, if not a valid one.
var addressLike = regexp.MustCompile(`^[0-9.]+$|^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*$`)

func looksLikeAddress(s string) bool { return addressLike.MatchString(s) }

func (c cursor) addressDetection() AddressDetection {
	var out AddressDetection
	var cidr, iface *cursor
	if !c.fields(
		may("cidr", func(c cursor) { cidr, out.CIDR = &c, c.cidr() }),
		may("interface", func(c cursor) { iface, out.Interface = &c, c.interfaceName() }),
	) {
		return out
	}
	switch {
	case cidr != nil && iface != nil:
		iface.failKey(fmt.Sprintf("cannot stand together with cidr (line %d)", cidr.line()), "keep one of the two")
	case cidr == nil && iface == nil:
		c.fail("needs cidr or interface", "write one of the two, or leave address out to use the address on the route to the coordinator")
	}
	return out
}

func (c cursor) cidr() netip.Prefix {
	s, ok := c.text()
	if !ok {
		return netip.Prefix{}
	}
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		c.fail(quote(s)+" is not a network in CIDR notation", "write an address and the length of the prefix, such as 10.0.0.0/24")
	case prefix != prefix.Masked():
		c.fail(fmt.Sprintf("%s is an address inside a network; did you mean %q?", quote(s), prefix.Masked()), "write the first address of the network and the length of the prefix")
	default:
		return prefix
	}
	return netip.Prefix{}
}

// interfaceName reads the name of a network interface as Linux allows it.
func (c cursor) interfaceName() string {
	s, ok := c.text()
	if ok && (s == "" || len(s) > 15 || s == "." || s == ".." || strings.ContainsAny(s, "/ ") || printable(s) != s) {
		c.fail(quote(s)+" cannot be the name of a network interface", "write it as `ip link` shows it, such as eth0")
	}
	return s
}

// endpoint reads the name under which the whole installation is reached, such as a load balancer.
func (c cursor) endpoint() string {
	s, ok := c.text()
	if ok && !isHost(s) && !isHostPort(s) {
		c.fail(quote(s)+" is neither a host nor a host with a port", "write a name or address, such as api.example.com or 10.0.0.9:6443, without a scheme; an IPv6 address with a port goes in brackets")
	}
	return s
}

// userName is what login names look like on the systems that push reaches.
var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}$`)

func (c cursor) ssh() SSH {
	out := SSH{User: defaultSSHUser, Port: defaultSSHPort}
	c.fields(
		may("user", func(c cursor) {
			s, ok := c.text()
			if ok && !userName.MatchString(s) {
				c.fail(quote(s)+" cannot be a user name", "write the name to log in with, such as admin")
			} else if ok {
				out.User = s
			}
		}),
		may("port", func(c cursor) { out.Port = c.port(defaultSSHPort) }),
	)
	return out
}

// readRoles reads what the operator says of the roles, and fills in the roles that nothing is said of.
func (p *clusterParser) readRoles(top cursor, c *cursor) {
	said := map[manifest.Role]bool{}
	if c != nil {
		c.named(func(name string, c cursor) {
			role, ok := p.find(name)
			if !ok && p.bundle != nil {
				c.failKey("the bundle defines no role "+quote(name)+suggestion(name, p.roles), undefinedRoleRemedy(p.roles))
			}
			said[role.Name] = true
			p.cluster.Roles[manifest.Role(name)] = p.role(c, role)
		})
	}
	if p.bundle == nil || c != nil && c.node.Kind != yaml.MappingNode {
		return
	}
	for _, role := range p.bundle.Roles {
		if said[role.Name] {
			continue
		}
		at := cursor{report: top.report, at: top.at, way: top.way.key("roles")}
		if c != nil {
			at.at = c.at
		}
		at.way = at.way.key(string(role.Name))
		p.cluster.Roles[role.Name] = ClusterRole{Count: at.defaultCount(role)}
	}
}

func (p *clusterParser) find(name string) (Role, bool) {
	if p.bundle != nil {
		for _, r := range p.bundle.Roles {
			if string(r.Name) == name {
				return r, true
			}
		}
	}
	return Role{Name: manifest.Role(name)}, false
}

// defaultCount is the number of members when the operator gives none: there is one only if the bundle leaves no choice.
func (c cursor) defaultCount(role Role) int {
	switch len(role.Counts) {
	case 0:
		return 0
	case 1:
		return role.Counts[0]
	}
	c.missing("count", "is required, must be "+choice(role.Counts), fmt.Sprintf("write how many hosts have the role, such as roles: {%s: {count: %d}}", role.Name, role.Counts[0]))
	return 0
}

func (p *clusterParser) role(c cursor, role Role) ClusterRole {
	var out ClusterRole
	if c.empty() {
		return ClusterRole{Count: c.defaultCount(role)}
	}
	counted := false
	var takeOver *cursor
	if !c.fields(
		may("count", func(c cursor) { counted, out.Count = true, p.count(c, role) }),
		may("select", func(c cursor) { out.Select = c.values(checkLabelKey, checkLabelValue) }),
		may("allow_shared_tokens", func(c cursor) {
			out.AllowSharedTokens = c.boolean()
			if out.AllowSharedTokens && p.bundle != nil && !role.Counted() {
				c.warn("has no effect: any number of hosts can have the role "+string(role.Name), "remove it; tokens of several uses are always allowed for such a role")
			}
		}),
		may("zones", func(c cursor) { out.Zones = p.zones(c, role) }),
		may("take_over", func(c cursor) { takeOver, out.TakeOver = &c, p.takeOver(c, role) }),
	) {
		return out
	}
	if !counted {
		out.Count = c.defaultCount(role)
	}
	if out.TakeOver > 0 && (out.Count == 1 || out.Count == 2) {
		takeOver.warn("never happens with "+count(out.Count, "member")+": the others must be a majority that hears nothing of it",
			"remove take_over and use coordinator hosts replace, or have three members or more")
	}
	return out
}

func (p *clusterParser) count(c cursor, role Role) int {
	if p.bundle != nil && slices.Contains(p.roles, string(role.Name)) && !role.Counted() {
		c.failKey("any number of hosts can have the role "+string(role.Name)+", so it has no count", "remove count; the bundle gives counts only to "+p.countedRoles())
		return 0
	}
	n, ok := c.whole(1, maxMembers)
	if ok && role.Counted() && !slices.Contains(role.Counts, n) {
		c.fail(fmt.Sprintf("must be %s, found %d", choice(role.Counts), n), "choose one of the numbers that the bundle allows for "+string(role.Name))
		return 0
	}
	return n
}

func (p *clusterParser) countedRoles() string {
	var names []string
	for _, r := range p.bundle.Roles {
		if r.Counted() {
			names = append(names, string(r.Name))
		}
	}
	if names == nil {
		return "no role"
	}
	return join(names, "and")
}
