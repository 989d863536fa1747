package config

import (
	"slices"

	"muster/internal/late"
)

// zones reads over which zones the members of a counted role are spread.
func (p *clusterParser) zones(c cursor, role Role) []string {
	if p.bundle != nil && role.Name != "" && !role.Counted() {
		c.failKey("any number of hosts can have the role "+string(role.Name)+", wherever they are", "remove zones; it is for "+p.countedRoles())
		return nil
	}
	var zones []string
	isList := c.items(func(_ int, c cursor) {
		zone, ok := c.text()
		switch {
		case !ok:
		case slices.Contains(zones, zone):
			c.fail(quote(zone)+" is listed twice", "remove one of the two")
		case late.Validate(late.Values{"Host.Zone": zone}) != nil:
			c.fail(quote(zone)+" cannot be the name of a zone", "write what hosts say of theirs: 1 to 63 letters, digits, dots, underscores and hyphens")
		default:
			zones = append(zones, zone)
		}
	})
	if isList && len(c.node.Content) == 0 {
		c.fail("must list at least one zone", "list the zones that the members are spread over, such as [eu-central-1a, eu-central-1b, eu-central-1c]")
	}
	return zones
}
