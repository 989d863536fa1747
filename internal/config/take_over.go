package config

import (
	"time"

	"gopkg.in/yaml.v3"
)

// A member that is silent for less than minTakeOver may only have been rebooted, or have lost an answer; nobody who waits
// longer than maxTakeOver wants it done without being asked.
const (
	minTakeOver = 2 * time.Minute
	maxTakeOver = 7 * 24 * time.Hour
)

// takeOver reads after which silence a spare takes the place of a member.
func (p *clusterParser) takeOver(c cursor, role Role) time.Duration {
	if p.bundle != nil && role.Name != "" && !role.Counted() {
		c.failKey("any number of hosts can have the role "+string(role.Name)+", so nobody's place is taken over", "remove take_over; it is for "+p.countedRoles())
		return 0
	}
	d := c.duration(maxTakeOver)
	if d > 0 && d < minTakeOver {
		c.fail("must be at least "+short(minTakeOver)+", found "+short(d), "write a duration that is longer than a member's reboot, such as 10m")
		return 0
	}
	return d
}

// checkTakeOvers compares the roles with resident: where the bootstrap agent leaves, silence is no sign of trouble.
func (p *clusterParser) checkTakeOvers(top cursor) {
	roles := valueOf(top, "roles")
	if p.cluster.Resident || roles == nil {
		return
	}
	for _, role := range roles.entries() {
		if role.node.Kind != yaml.MappingNode {
			continue
		}
		if after := valueOf(role, "take_over"); after != nil && !after.empty() {
			after.fail("needs resident: true: without it the bootstrap agent removes itself, and nothing is heard of a member that is well",
				"write resident: true at the top of this file, or remove take_over and use coordinator hosts replace")
		}
	}
}
