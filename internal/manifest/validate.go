package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Validate says what is wrong with a manifest that is well-formed. It is for those who read manifests; whoever writes
// them finds mistakes earlier and can say where they come from.
func (m *Manifest) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("manifest of role %.64q: %w", m.Role, fmt.Errorf(format, args...))
	}
	switch {
	case m.Format != Format:
		return bad("format %d, this program reads %d; use the bootstrap agent that the generation came with", m.Format, Format)
	case !IsLabel(m.Cluster):
		return bad("cluster %.80q is not a DNS label", m.Cluster)
	case !m.ConfigID.Valid():
		return bad("config id %.80q is not a digest", m.ConfigID)
	case !IsLabel(string(m.Role)):
		return bad("the role's name is not a DNS label")
	case m.Counted < 0:
		return bad("%d members", m.Counted)
	}
	if err := m.Config.validate(); err != nil {
		return bad("config: %w", err)
	}
	seen := map[string]bool{}
	for _, p := range m.Packages {
		if seen[p.Name] {
			return bad("package %.64q is listed twice", p.Name)
		}
		seen[p.Name] = true
		if err := p.validate(); err != nil {
			return bad("package %.64q: %w", p.Name, err)
		}
	}
	for _, u := range m.Units {
		if err := u.validate(m.Cluster); err != nil {
			return bad("unit %.80q: %w", u.Name, err)
		}
	}
	for _, c := range m.Checks {
		if err := c.validate(); err != nil {
			return bad("check %.64q: %w", c.Name, err)
		}
	}
	for _, s := range m.Steps {
		if err := s.validate(); err != nil {
			return bad("step %.64q: %w", s.Name, err)
		}
	}
	for _, f := range m.Owners {
		if err := f.validate(); err != nil {
			return bad("file %.80q: %w", f.Path, err)
		}
	}
	for _, d := range m.Directories {
		if err := d.validate(); err != nil {
			return bad("directory %.80q: %w", d.Path, err)
		}
	}
	return nil
}

// Validate says what is wrong with a generation that is well-formed.
func (g *Generation) Validate() error {
	bad := func(format string, args ...any) error { return fmt.Errorf("generation: "+format, args...) }
	switch {
	case g.Format != Format:
		return bad("format %d, this program reads %d; generate it again with this version", g.Format, Format)
	case !IsLabel(g.Cluster):
		return bad("cluster %.80q is not a DNS label", g.Cluster)
	case !g.ConfigID.Valid():
		return bad("config id %.80q is not a digest", g.ConfigID)
	case len(g.Roles) == 0:
		return bad("it has no roles")
	}
	known := map[Role]bool{}
	for _, r := range g.Roles {
		if !IsLabel(string(r.Name)) || known[r.Name] || r.Count < 0 {
			return bad("role %.64q is listed twice or is not valid", r.Name)
		}
		known[r.Name] = true
		if r.TakeOver < 0 || r.TakeOver > 0 && (r.Count == 0 || !g.Resident) {
			return bad("members of role %s are to be replaced after a silence that says nothing: the role is open, or its bootstrap agents leave", r.Name)
		}
		if err := r.Manifest.validate(); err != nil {
			return bad("manifest of role %s: %w", r.Name, err)
		}
	}
	for _, r := range g.Roles {
		for _, other := range r.After {
			if !known[other] {
				return bad("role %s is to come after the unknown role %.64q", r.Name, other)
			}
		}
	}
	for _, h := range g.Hosts {
		if !known[h.Role] {
			return bad("a listed host has the unknown role %.64q", h.Role)
		}
	}
	named := map[string]bool{}
	for _, s := range g.Secrets {
		if named[s.Name] || !IsName(s.Name) {
			return bad("secret %.64q is listed twice or is not valid", s.Name)
		}
		named[s.Name] = true
		if err := s.validate(known); err != nil {
			return bad("secret %s: %w", s.Name, err)
		}
	}
	if err := g.Attestation.validate(g.Roles); err != nil {
		return bad("attestation: %w", err)
	}
	for arch, blob := range g.Agents {
		if err := blob.validate(); err != nil || !arch.Valid() {
			return bad("bootstrap agent for %.20q: not a valid blob", arch)
		}
	}
	return nil
}

// Valid says whether bootstrap agents exist for the architecture.
func (a Arch) Valid() bool { return a == "amd64" || a == "arm64" }

func (b Blob) validate() error {
	switch {
	case !b.Digest.Valid():
		return fmt.Errorf("%.80q is not a digest", b.Digest)
	case b.Size <= 0 || b.Unpacked < 0 || b.Entries < 0:
		return fmt.Errorf("blob %s: size %d, unpacked %d, %d entries", b.Digest, b.Size, b.Unpacked, b.Entries)
	}
	return nil
}

func (p Package) validate() error {
	if !IsName(p.Name) {
		return fmt.Errorf("not a plain name")
	}
	for arch, blob := range p.Blobs {
		if err := blob.validate(); err != nil || !arch.Valid() {
			return fmt.Errorf("for %.20q: not a valid blob", arch)
		}
	}
	for arch, links := range p.Links {
		if _, ok := p.Blobs[arch]; !ok {
			return fmt.Errorf("links for %.20q, for which there is no blob", arch)
		}
		for _, link := range links {
			// One level below a well-known directory, so that a link can never lead out of the generation.
			dir, name := path.Split(link)
			if !slices.Contains(WellKnown, strings.TrimSuffix(dir, "/")) || name == "" || name == "." || name == ".." || !utf8.ValidString(name) {
				return fmt.Errorf("%.80q is not a file of a well-known directory", link)
			}
		}
	}
	return nil
}

// WellKnown are the directories of a generation in which the files of its packages appear.
var WellKnown = []string{"bin", "lib"}

func (u Unit) validate(cluster string) error {
	name, ok := strings.CutSuffix(u.Name, ".service")
	if ok {
		name, ok = strings.CutPrefix(name, cluster+"-")
		ok = ok && IsName(name)
	}
	if !ok && u.Name != cluster+".target" {
		return fmt.Errorf("not %s-NAME.service or %s.target", cluster, cluster)
	}
	if u.Path != "units/"+u.Name {
		return fmt.Errorf("%.80q is not its path", u.Path)
	}
	return nil
}

func (c Check) validate() error {
	switch {
	case !IsName(c.Name):
		return fmt.Errorf("not a plain name")
	case c.Stage != Preflight && c.Stage != Postflight:
		return fmt.Errorf("unknown stage %.20q", c.Stage)
	case (c.Probe == "") == (c.Script == ""):
		return fmt.Errorf("needs one of probe and script")
	case c.Severity != "critical" && c.Severity != "warning":
		return fmt.Errorf("unknown severity %.20q", c.Severity)
	case c.Timeout <= 0 || c.RetryFor < 0:
		return fmt.Errorf("timeout %v, retry for %v", c.Timeout, c.RetryFor)
	}
	return nil
}
