package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"muster/internal/manifest"
)

// hostsParser reads the list of hosts. It passes over the list once and remembers where each host was first named,
// because the list can have 50,000 entries.
type hostsParser struct {
	*clusterParser
	names     map[string]int
	addresses map[netip.Addr]int
	cidrs     map[netip.Prefix]int
	members   map[manifest.Role]int
}

func (p *clusterParser) readHosts(c cursor) {
	h := hostsParser{clusterParser: p, names: map[string]int{}, addresses: map[netip.Addr]int{}, cidrs: map[netip.Prefix]int{}, members: map[manifest.Role]int{}}
	c.items(func(_ int, c cursor) { p.cluster.Hosts = append(p.cluster.Hosts, h.host(c)) })
}

func (h *hostsParser) host(c cursor) Host {
	var out Host
	var name, address, cidr, role *cursor
	if !c.fields(
		may("name", func(c cursor) { name, out.Name = &c, h.name(c) }),
		may("address", func(c cursor) { address, out.Address = &c, h.address(c) }),
		may("cidr", func(c cursor) { cidr, out.CIDR = &c, h.cidr(c) }),
		must("role", "write the role of the host", func(c cursor) { role, out.Role = &c, h.role(c) }),
		may("labels", func(c cursor) { out.Labels = c.values(checkLabelKey, checkLabelValue) }),
	) {
		return out
	}
	switch {
	case cidr != nil && address != nil:
		cidr.failKey(fmt.Sprintf("cannot stand together with address (line %d)", address.line()), "write two entries: one for the host, one for the network")
	case cidr != nil && name != nil:
		cidr.failKey(fmt.Sprintf("cannot stand together with name (line %d): a network has many hosts", name.line()), "remove the name, or write the host's address instead of the network")
	case cidr == nil && address == nil && name == nil:
		c.fail("names no host", "write its name, its address, or the cidr of a network")
	}
	if role != nil && out.Role != "" {
		h.countMember(*role, out.Role, cidr)
	}
	return out
}

func (h *hostsParser) name(c cursor) string {
	s, ok := c.text()
	switch {
	case !ok:
		return ""
	case looksLikeAddress(s):
		c.fail(quote(s)+" is an address, not a name", "write address: "+s)
		return ""
	case !isHostName(s):
		c.fail(quote(s)+" is not a host name", "write letters, digits and hyphens, and dots between the parts, such as db1.example.com")
		return ""
	}
	first(c, h.names, strings.ToLower(s), s)
	return s
}

func (h *hostsParser) address(c cursor) netip.Addr {
	const remedy = "write the address at which the other hosts reach this one, such as 10.0.0.11"
	s, ok := c.text()
	if !ok {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	a = a.Unmap()
	switch {
	case err != nil && isCIDR(s):
		c.fail(quote(s)+" is a network", "write cidr: "+s)
	case err != nil:
		c.fail(quote(s)+" is not an IP address", remedy)
	case a.Zone() != "":
		c.fail(quote(s)+" has a zone, which is right on one host only", remedy)
	case a.IsUnspecified():
		c.fail(quote(s)+" is not the address of a host but stands for all of them", remedy)
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		c.fail(quote(s)+" is the address of many hosts", remedy)
	case a.IsLoopback():
		c.fail(quote(s)+" is the loopback address: every host reaches only itself there", remedy)
	case a.Is6() && a.IsLinkLocalUnicast():
		c.fail(quote(s)+" is a link-local address, which means nothing on another link", remedy)
	default:
		first(c, h.addresses, a, s)
		return a
	}
	return netip.Addr{}
}

func (h *hostsParser) cidr(c cursor) netip.Prefix {
	prefix := c.cidr()
	if prefix.IsValid() {
		first(c, h.cidrs, prefix, c.node.Value)
	}
	return prefix
}

// first remembers where something was listed, and reports it the second time.
func first[K comparable](c cursor, seen map[K]int, key K, shown string) {
	if line, ok := seen[key]; ok {
		c.fail(fmt.Sprintf("%s is listed twice: first in line %d, again here", quote(shown), line), "remove one of the two entries; a host has one role")
		return
	}
	seen[key] = c.line()
}

func (h *hostsParser) role(c cursor) manifest.Role {
	s, ok := c.text()
	if !ok {
		return ""
	}
	if h.bundle != nil && !slices.Contains(h.roles, s) {
		c.fail("the bundle defines no role "+quote(s)+suggestion(s, h.roles), undefinedRoleRemedy(h.roles))
		return ""
	}
	return manifest.Role(s)
}

// countMember checks that no counted role gets more hosts than it has places.
func (h *hostsParser) countMember(c cursor, name manifest.Role, cidr *cursor) {
	role, ok := h.find(string(name))
	if !ok || !role.Counted() {
		return
	}
	if cidr != nil {
		cidr.fail(fmt.Sprintf("the role %s has a fixed number of members, so a network cannot be given to it", name), "list each of its hosts by address or name, or use roles."+string(name)+".select")
		return
	}
	h.members[name]++
	allowed := h.cluster.Roles[name].Count
	if n := h.members[name]; allowed > 0 && n > allowed {
		c.fail(fmt.Sprintf("is the %s host with the role %s, whose count is %d", ordinal(n), name, allowed),
			tooManyRemedy(role, allowed))
	}
}

func tooManyRemedy(role Role, allowed int) string {
	if i := slices.IndexFunc(role.Counts, func(n int) bool { return n > allowed }); i >= 0 {
		return fmt.Sprintf("remove the entry, or raise roles.%s.count to %s", role.Name, choice(role.Counts[i:]))
	}
	return "remove the entry, or give the host another role"
}
