package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"muster/internal/checks"
	"muster/internal/manifest"
)

const (
	// bundleFormat is the format of bundle.yaml that this program reads.
	bundleFormat = 1
	// maxMembers bounds a counted role: the roster goes to every host that references it.
	maxMembers     = 99
	defaultTimeout = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	maxRetryFor    = time.Hour
)

// architectures that packages can be for.
var architectures = []string{"amd64", "arm64"}

// probes are the built-in checks that a bundle can name.
var probes = []string{"port-free", "disk-space", "memory", "clock", "commands", "systemd", "kernel", "file-system", "absent", "writable", "host-name"}

// bundleParser reads a bundle.yaml into bundle.
type bundleParser struct {
	bundle *Bundle
	files  bundleFiles
	roles  []string
}

// parseBundle reads data; files says which files the bundle has.
func parseBundle(file string, data []byte, files bundleFiles) (*Bundle, Problems) {
	report, top := parse(file, data)
	if top == nil {
		return nil, report.sorted()
	}
	p := &bundleParser{bundle: &Bundle{}, files: files}
	p.read(cursor{report: report, node: top, at: top})
	if report.failed() {
		return nil, report.sorted()
	}
	return p.bundle, report.sorted()
}

func (p *bundleParser) read(c cursor) {
	b := p.bundle
	// The names of the roles come first: nearly everything below refers to them.
	p.roles = roleNames(c.node)
	c.fields(
		must("bundle", "write bundle: 1, the format of this file", func(c cursor) {
			if n, ok := c.whole(1, 1<<30); ok && n != bundleFormat {
				c.fail(fmt.Sprintf("format %d is not known, this program reads format %d", n, bundleFormat), "write bundle: 1, or use the version of Muster that the bundle was made for")
			}
		}),
		must("name", "write the name of the software, such as name: etcd", func(c cursor) { b.Name = c.bundleName() }),
		must("version", `write the version of the software, such as version: "1.2.3"`, func(c cursor) { b.Version = c.version() }),
		may("summary", func(c cursor) { b.Summary = c.phrase() }),
		must("roles", "define at least one role, such as roles: {node: {summary: Does the work}}", func(c cursor) {
			c.named(func(name string, c cursor) { b.Roles = append(b.Roles, p.role(name, c)) })
			if c.node.Kind == yaml.MappingNode && len(b.Roles) == 0 {
				c.fail("must define at least one role", "write the name of a role and what it is for, such as node: {summary: Does the work}")
			}
			p.checkOrder(c)
		}),
		may("parameters", func(c cursor) {
			b.Schema, b.schema = c.schema()
		}),
		may("secrets", p.secrets),
		may("packages", func(c cursor) {
			c.named(func(name string, c cursor) { b.Packages = append(b.Packages, p.pkg(name, c)) })
		}),
		may("files", func(c cursor) {
			c.named(func(path string, c cursor) { b.Files = append(b.Files, p.file(path, c)) })
			checkNoFileBelowFile(c, b.Files)
		}),
		may("directories", func(c cursor) { b.Directories = p.directories(c) }),
		may("units", func(c cursor) {
			c.named(func(name string, c cursor) { b.Units = append(b.Units, p.unit(name, c)) })
		}),
		may("checks", func(c cursor) {
			c.named(func(name string, c cursor) { b.Checks = append(b.Checks, p.check(name, c)) })
		}),
		may("steps", func(c cursor) {
			c.named(func(name string, c cursor) { b.Steps = append(b.Steps, p.step(name, c)) })
		}),
		may("rules", func(c cursor) {
			c.items(func(_ int, c cursor) { b.Rules = append(b.Rules, p.rule(c)) })
		}),
	)
	if b.schema == nil {
		// Without a schema the software has no parameters, and any that is given is a mistake.
		b.Schema, b.schema = emptySchema()
	}
}

func roleNames(top *yaml.Node) []string {
	var names []string
	for key, c := range (cursor{node: top}).entries() {
		if key != "roles" || c.node.Kind != yaml.MappingNode {
			continue
		}
		for role := range c.entries() {
			names = append(names, role)
		}
		return names
	}
	return nil
}

func (c cursor) bundleName() string {
	s, ok := c.text()
	if ok && (!name.MatchString(s) || len(s) > maxName) {
		c.fail(quote(s)+" cannot name a bundle", fmt.Sprintf("write at most %d lower-case letters, digits, dots, hyphens and underscores, beginning with a letter or digit", maxName))
	}
	return s
}

func (c cursor) version() string {
	s, ok := c.text()
	if ok && (s == "" || len(s) > maxName || printable(s) != s || strings.ContainsAny(s, " /")) {
		c.fail(quote(s)+" cannot be a version", fmt.Sprintf("write at most %d visible characters without spaces and slashes", maxName))
	}
	return s
}

func (p *bundleParser) role(name string, c cursor) Role {
	r := Role{Name: manifest.Role(name)}
	c.checkRoleName(name)
	if c.empty() {
		return r
	}
	var spread, upgrade *cursor
	c.fields(
		may("summary", func(c cursor) { r.Summary = c.phrase() }),
		may("counts", func(c cursor) { r.Counts = c.counts() }),
		may("after", func(c cursor) {
			r.After = p.roleList(c)
			if slices.Contains(r.After, r.Name) {
				c.fail("a role cannot wait for itself", "remove "+name+" from the list")
			}
		}),
		may("spread", func(c cursor) { spread, r.Spread = &c, c.spread() }),
		may("upgrade", func(c cursor) { upgrade, r.Upgrade = &c, c.upgrade() }),
	)
	r.checkPolicies(spread, upgrade)
	return r
}

func (c cursor) counts() []int {
	var counts []int
	c.items(func(_ int, c cursor) {
		n, ok := c.whole(1, maxMembers)
		switch {
		case !ok:
		case slices.Contains(counts, n):
			c.fail(fmt.Sprintf("%d is in the list already", n), "remove one of the two")
		default:
			counts = append(counts, n)
		}
	})
	if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
		c.fail("must list at least one number", "write the allowed numbers of members, such as [1, 3, 5], or leave counts out for a role with any number of members")
	}
	slices.Sort(counts)
	return counts
}

// roleList reads names of roles that the bundle defines.
func (p *bundleParser) roleList(c cursor) []manifest.Role {
	var roles []manifest.Role
	c.items(func(_ int, c cursor) {
		s, ok := c.text()
		switch {
		case !ok:
		case !slices.Contains(p.roles, s):
			c.fail("the bundle defines no role "+quote(s)+suggestion(s, p.roles), undefinedRoleRemedy(p.roles))
		case slices.Contains(roles, manifest.Role(s)):
			c.fail(quote(s)+" is in the list already", "remove one of the two")
		default:
			roles = append(roles, manifest.Role(s))
		}
	})
	return roles
}

func undefinedRoleRemedy(roles []string) string {
	if len(roles) == 0 {
		return "define the role in the bundle's roles"
	}
	return "the bundle's roles are " + join(roles, "and")
}

// forRoles reads the roles that something is for. What names none is for all of them.
func (p *bundleParser) forRoles(roles *[]manifest.Role) field {
	*roles = make([]manifest.Role, len(p.roles))
	for i, r := range p.roles {
		(*roles)[i] = manifest.Role(r)
	}
	return may("roles", func(c cursor) {
		*roles = p.roleList(c)
		if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
			c.fail("must list at least one role", "name the roles that this is for, or leave roles out for all of them")
		}
	})
}

// checkOrder finds roles that wait for each other in a circle.
func (p *bundleParser) checkOrder(c cursor) {
	after := map[manifest.Role][]manifest.Role{}
	for _, r := range p.bundle.Roles {
		after[r.Name] = r.After
	}
	const visiting, done = 1, 2
	state := map[manifest.Role]int{}
	var way []string
	var circle []string
	var visit func(manifest.Role)
	visit = func(r manifest.Role) {
		way = append(way, string(r))
		state[r] = visiting
		for _, next := range after[r] {
			switch {
			case circle != nil || next == r: // itself is reported where it stands
			case state[next] == visiting:
				circle = append(slices.Clone(way[slices.Index(way, string(next)):]), string(next))
			case state[next] == 0:
				visit(next)
			}
		}
		way = way[:len(way)-1]
		state[r] = done
	}
	for _, r := range p.bundle.Roles {
		if state[r.Name] == 0 {
			visit(r.Name)
		}
	}
	if circle != nil {
		c.failKey("the roles wait for each other: "+strings.Join(circle, " after "), "remove one of these roles from an after list")
	}
}

func (p *bundleParser) pkg(name string, c cursor) Package {
	out := Package{Name: name, Sources: map[manifest.Arch]Source{}}
	c.checkName("package", name)
	c.fields(
		p.forRoles(&out.Roles),
		must("sources", "name a directory or an archive for each architecture, such as sources: {amd64: packages/"+name+"/amd64}", func(c cursor) {
			out.Sources = p.sources(name, c)
		}),
	)
	return out
}

func (p *bundleParser) file(path string, c cursor) File {
	f := File{Path: path, Mode: 0o644}
	c.checkGenerated(path)
	c.fields(
		p.forRoles(&f.Roles),
		must("template", "name the template, such as template: templates/"+lastPart(path)+".tmpl", func(c cursor) { f.Template = p.regular(c) }),
		may("mode", func(c cursor) { f.Mode, f.ModeGiven = c.mode(f.Mode), true }),
		may("owner", func(c cursor) { f.User = c.account("user") }),
		may("group", func(c cursor) { f.Group = c.account("group") }),
	)
	return f
}

// mode reads permissions in octal. Quotes do not matter here: 0644 cannot be meant as a decimal number.
func (c cursor) mode(fallback uint32) uint32 {
	const remedy = `write three octal digits, such as "0644", or "0755" for a program; setuid, setgid and sticky are not possible`
	s, ok := c.scalarText()
	if !ok {
		return fallback
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	switch {
	case err != nil || len(s) < 3 || s[0] == '+':
		c.fail(quote(s)+" is not a file mode", remedy)
	case n > 0o777:
		c.fail("mode "+quote(s)+" is above 0777", remedy)
	default:
		return uint32(n)
	}
	return fallback
}

func (p *bundleParser) unit(name string, c cursor) Unit {
	u := Unit{Name: name}
	c.checkName("unit", name)
	if short, ok := strings.CutSuffix(name, ".service"); ok {
		c.failKey(quote(name)+" would become "+name+".service", "write the name without .service: "+short)
	}
	c.fields(
		p.forRoles(&u.Roles),
		must("template", "name the template, such as template: units/"+name+".service.tmpl", func(c cursor) { u.Template = p.regular(c) }),
	)
	return u
}

func (p *bundleParser) check(name string, c cursor) Check {
	k := Check{Name: name, Severity: "critical", Timeout: defaultTimeout}
	c.checkName("check", name)
	var probe, script, with, retry *cursor
	if !c.fields(
		must("stage", "write stage: preflight (before anything is installed) or stage: postflight (after the start)", func(c cursor) {
			k.Stage = checks.Stage(c.oneOf(string(checks.Preflight), string(checks.Postflight)))
		}),
		p.forRoles(&k.Roles),
		may("summary", func(c cursor) { k.Summary = c.phrase() }),
		may("probe", func(c cursor) { probe, k.Probe = &c, c.oneOf(probes...) }),
		may("with", func(c cursor) { with, k.With = &c, c.arguments() }),
		may("script", func(c cursor) { script, k.Script = &c, p.regular(c) }),
		may("severity", func(c cursor) { k.Severity = c.oneOf("critical", "warning") }),
		may("remedy", func(c cursor) { k.Remedy = c.phrase() }),
		may("timeout", func(c cursor) { k.Timeout = c.duration(maxTimeout) }),
		may("retry_for", func(c cursor) { retry, k.RetryFor = &c, c.duration(maxRetryFor) }),
	) {
		return k
	}
	switch {
	case probe == nil && script == nil:
		c.failKey("needs a probe or a script", "write probe: with one of "+join(probes, "or")+", or script: with the path of a script")
	case probe != nil && script != nil:
		script.failKey(fmt.Sprintf("cannot stand together with probe (line %d)", probe.line()), "keep one of the two, or make them two checks")
	case with != nil && probe == nil:
		with.failKey("is only for probes", "remove it; a script is a template and can use .Param itself")
	}
	if retry != nil && k.Stage == checks.Preflight {
		retry.failKey("is only for postflight checks", "remove it: before the installation there is nothing to wait for")
	}
	if k.Remedy == "" && k.Severity != "warning" {
		c.missing("remedy", "is required for a critical check", "say what the operator is to do when this check fails")
	} else if k.Remedy == "" {
		c.add(Problem{Line: c.at.Line, Column: c.at.Column, Key: c.way.String(), Message: "has no remedy", Warning: true,
			Remedy: "say in remedy: what the operator is to do when this check fails"})
	}
	return k
}

// arguments reads a probe's arguments: single values, as they are written.
func (c cursor) arguments() map[string]string {
	out := map[string]string{}
	c.named(func(key string, c cursor) {
		if s, ok := c.scalarText(); ok {
			out[key] = s
		}
	})
	return out
}
