package config

import (
	"fmt"

	"muster/internal/manifest"
)

// Discovery is how the parts of the installation find the members of the counted roles.
type Discovery string

// The ways.
const (
	// DiscoveryStatic: every member is listed by its address, so that all is known before a host exists.
	DiscoveryStatic Discovery = "static"
	// DiscoveryCoordinator: members are those hosts that joined; the coordinator tells all others who they are.
	DiscoveryCoordinator Discovery = "coordinator"
	// DiscoveryEndpoint: others reach the members through the endpoint, whoever they are.
	DiscoveryEndpoint Discovery = "endpoint"
)

// Discoveries are all ways.
var Discoveries = []Discovery{DiscoveryStatic, DiscoveryCoordinator, DiscoveryEndpoint}

// readDiscovery reads the way and compares it with what it needs: the list of hosts, or the endpoint.
func (p *clusterParser) readDiscovery(top cursor, c *cursor) {
	p.cluster.Discovery = DiscoveryCoordinator
	if c == nil {
		return
	}
	words := make([]string, len(Discoveries))
	for i, d := range Discoveries {
		words[i] = string(d)
	}
	p.cluster.Discovery = Discovery(c.oneOf(words...))
	switch p.cluster.Discovery {
	case DiscoveryStatic:
		p.allListed(*c, valueOf(top, "hosts"))
	case DiscoveryEndpoint:
		if endpoint := valueOf(top, "endpoint"); endpoint == nil || endpoint.empty() {
			c.fail("wants an endpoint, and none is given", "write endpoint: with the name or address of the load balancer, or choose "+string(DiscoveryCoordinator))
		}
	}
}

// allListed wants as many addresses in the list of hosts as each counted role has members.
func (p *clusterParser) allListed(c cursor, hosts *cursor) {
	if p.bundle == nil {
		return
	}
	listed := map[manifest.Role]int{}
	for _, h := range p.cluster.Hosts {
		if h.Address.IsValid() {
			listed[h.Role]++
		}
	}
	for _, r := range p.bundle.Roles {
		want := p.cluster.Roles[r.Name].Count
		if listed[r.Name] >= want {
			continue
		}
		has := "there are no hosts"
		if hosts != nil {
			has = fmt.Sprintf("hosts (line %d) gives the address of %d", hosts.line(), listed[r.Name])
		}
		c.fail(fmt.Sprintf("wants every member listed by its address: the role %s has %s, and %s", r.Name, count(want, "member"), has),
			fmt.Sprintf("list each under hosts, such as {address: 10.0.0.11, role: %s}, or choose %s", r.Name, DiscoveryCoordinator))
	}
}
