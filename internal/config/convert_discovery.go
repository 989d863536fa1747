package config

import (
	"slices"
	"strings"
)

// readDiscovery takes over how others find the masters, unless the bundle has a parameter of that name.
func (c *converter) readDiscovery() {
	if c.bundle != nil && slices.Contains(c.bundle.parametersText().top().properties(), "master_discovery") {
		return
	}
	v, word, ok := c.scalar("master_discovery", "discovery:")
	if !ok {
		return
	}
	way, known := legacyDiscovery[word]
	switch {
	case !known:
		c.leave(v, quote(word)+" is no way of discovery", "write discovery: "+string(DiscoveryStatic)+", "+string(DiscoveryCoordinator)+" or "+string(DiscoveryEndpoint))
	case way.address != "":
		c.readEndpoint(v, way.address)
	case !c.allCounted():
		c.leave(v, "not all members of the counted roles are listed", "list them under hosts and write discovery: "+string(DiscoveryStatic))
	default:
		c.out.discovery = way.discovery
	}
}

func (c *converter) readEndpoint(discovery cursor, key string) {
	v, address, ok := c.scalar(key, "endpoint:")
	switch {
	case !ok:
		c.leave(discovery, "there is no "+key, "write endpoint: with the address of all masters together, and discovery: "+string(DiscoveryEndpoint))
	case !isHost(address) && !isHostPort(address):
		c.leave(v, quote(address)+" is neither a host nor a host with a port", "write the address of all masters together into endpoint:")
		c.leave(discovery, key+" is no address", "write discovery: "+string(DiscoveryEndpoint)+" when endpoint: is there")
	default:
		c.out.discovery, c.out.endpoint = DiscoveryEndpoint, address
	}
}

// allCounted says whether the lists of hosts had a right number of members for each counted role.
func (c *converter) allCounted() bool {
	counted := []string{"master"}
	if c.bundle != nil {
		counted = nil
		for _, r := range c.bundle.Roles {
			if r.Counted() {
				counted = append(counted, string(r.Name))
			}
		}
	}
	return !slices.ContainsFunc(counted, func(role string) bool {
		said := c.out.counts[role]
		return said == "" || strings.HasPrefix(said, fillInMark)
	})
}
