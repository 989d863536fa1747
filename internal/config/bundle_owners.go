package config

import (
	"io/fs"
	"slices"
	"strings"

	"muster/internal/manifest"
)

// Directory is one that a host has below /var/lib/<cluster>.
type Directory struct {
	// Path is relative to the data directory.
	Path  string
	Roles []manifest.Role
	Mode  uint32
	manifest.Owner
}

// account reads the name or number of a user or group. Whether a name exists only the host knows.
func (c cursor) account(kind string) string {
	s, ok := c.scalarText()
	if !ok || s == "root" || s == "0" {
		return "" // root's is what everything is anyway
	}
	if !manifest.IsAccount(s) {
		c.fail(quote(s)+" cannot be a "+kind, "write the name of a "+kind+" that every such host has, in lower case, or its number; Muster creates no "+kind+"s")
		return ""
	}
	return s
}

// directories reads the directories of the data. A directory stands after those that it is in, so that each is made in
// one that has its owner already.
func (p *bundleParser) directories(c cursor) []Directory {
	var out []Directory
	c.named(func(path string, c cursor) {
		d := Directory{Path: path, Mode: 0o755}
		if len(path) > maxPath || !fs.ValidPath(path) || path == "." || printable(path) != path || strings.ContainsAny(path, `\ `) {
			c.failKey(quote(path)+" is not a clean relative path", "write a path below /var/lib/<cluster>, such as queue or db/journal")
		}
		if c.empty() {
			p.forRoles(&d.Roles)
			out = append(out, d)
			return
		}
		c.fields(
			p.forRoles(&d.Roles),
			may("mode", func(c cursor) { d.Mode = c.mode(d.Mode) }),
			may("owner", func(c cursor) { d.User = c.account("user") }),
			may("group", func(c cursor) { d.Group = c.account("group") }),
		)
		out = append(out, d)
	})
	slices.SortStableFunc(out, func(a, b Directory) int { return strings.Compare(a.Path, b.Path) })
	return out
}
