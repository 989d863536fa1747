package show

import (
	"fmt"
	"strconv"
	"strings"

	operatorv1 "muster/proto/muster/operator/v1"
)

// phaseOrder is how phases are counted: the ends first, then from the end of the life to its beginning.
var phaseOrder = []string{
	"done", "quarantined", "failed", "push failed", "postflight", "starting", "installing", "fetching", "ready", "preflight", "assigned",
	"enrolled", "pushed", "uninstalling", "removed", "unknown",
}

// shortConfig is how much of a config id tells it from others.
const shortConfig = 12

func (g *gather) summary() []string {
	lines := wrap("", strings.Join(append([]string{g.hostsLine()}, clusterWords(g.cluster)...), " · "), g.opts.Width)
	if roles := g.rolesLine(); roles != "" {
		lines = append(lines, wrap("", roles, g.opts.Width)...)
	}
	return lines
}

func (g *gather) hostsLine() string {
	if g.total == 0 {
		return "no hosts yet"
	}
	var parts []string
	for _, phase := range phaseOrder {
		if n := g.phases[phase]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+phase)
		}
	}
	line := plural(g.total, "host") + ": " + strings.Join(parts, ", ")
	silent := 0
	for phase, n := range g.silent {
		if phase != "pushed" {
			silent += n
		}
	}
	if silent > 0 {
		line += fmt.Sprintf(" (%d lost)", silent)
	}
	return line
}

func clusterWords(c *operatorv1.GetClusterResponse) []string {
	if c == nil {
		return nil
	}
	var words []string
	if c.BundleName != "" {
		words = append(words, strings.TrimSpace(Safe(c.BundleName, maxWord)+" "+Safe(c.BundleVersion, maxWord)))
	}
	if c.ConfigId != "" {
		words = append(words, "config "+Safe(c.ConfigId[:min(shortConfig, len(c.ConfigId))], maxWord))
	}
	return words
}

// rolesLine says how full the roles are and which counted ones still wait for members.
func (g *gather) rolesLine() string {
	var have, missing []string
	for _, r := range g.cluster.GetRoles() {
		n := 0
		if c := g.roles[r.Role]; c != nil {
			n = c.hosts
		}
		name := Safe(r.Role, maxWord)
		if r.Counted == 0 {
			have = append(have, fmt.Sprintf("%s %d", name, n))
			continue
		}
		have = append(have, fmt.Sprintf("%s %d/%d", name, n, r.Counted))
		if left := int(r.Counted) - n; left > 0 {
			missing = append(missing, fmt.Sprintf("%d more %s", left, name))
		}
	}
	line := strings.Join(have, ", ")
	if len(missing) > 0 {
		line += " · waiting for " + strings.Join(missing, ", ")
	}
	return line
}
