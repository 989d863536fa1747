package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// write gives the text of the new file. hide leaves secret values out.
func (c *converter) write(o ConvertOptions, hide bool) string {
	w := &initialWriter{}
	w.about("", "Converted from "+filepath.Base(c.file)+" by `coordinator config convert`.")
	if len(c.left) > 0 {
		w.about("", "What has no place here stands at the end.")
	}
	w.blank()
	if c.out.name != "" {
		w.line("cluster: " + flowText(c.out.name))
	} else {
		w.line("cluster: " + fillInMark + "the name of the cluster, such as prod")
	}
	w.blank()
	if o.Path != "" {
		w.line("bundle: " + flowText(o.Path))
	} else {
		w.line("bundle: " + fillInMark + "the bundle's directory, relative to this file")
	}
	w.blank()
	w.line("coordinator:")
	if c.out.addresses != nil {
		w.line("  addresses: " + flow(c.out.addresses))
	} else {
		w.line("  addresses: " + fillInMark + "where hosts reach the coordinator, such as [10.0.0.1]")
	}
	if c.out.httpPort != 0 {
		w.line(fmt.Sprintf("  http_port: %d", c.out.httpPort))
	}
	w.blank()
	c.writeRoles(w)
	if len(c.out.hosts) > 0 {
		w.line("hosts:")
		for _, h := range c.out.hosts {
			w.line("  - " + h)
		}
		w.blank()
	}
	if c.out.discovery != "" {
		if c.out.endpoint != "" {
			w.line("endpoint: " + flowText(c.out.endpoint))
		}
		w.line("discovery: " + string(c.out.discovery))
		w.blank()
	}
	c.writeParameters(w, hide)
	if c.bundle != nil {
		if lines := givenSecrets(c.bundle.Bundle); len(lines) > 0 {
			w.line("secrets:")
			w.take(lines)
			w.blank()
		}
	}
	if c.out.user != "" || c.out.port != 0 {
		w.line("ssh:")
		if c.out.user != "" {
			w.line("  user: " + flowText(c.out.user))
		}
		if c.out.port != 0 {
			w.line(fmt.Sprintf("  port: %d", c.out.port))
		}
		w.blank()
	}
	c.writeLeft(w)
	return strings.TrimRight(strings.Join(w.lines, "\n"), "\n") + "\n"
}

func (c *converter) writeRoles(w *initialWriter) {
	var lines []string
	if c.bundle == nil {
		if n, ok := c.out.counts["master"]; ok {
			lines = append(lines, "  master: "+n)
		}
	} else {
		for _, r := range c.bundle.Roles {
			if len(r.Counts) < 2 {
				continue
			}
			said, ok := c.out.counts[string(r.Name)]
			if !ok {
				said = fillInMark + "{count: " + choice(r.Counts) + "}"
			}
			lines = append(lines, "  "+flowText(string(r.Name))+": "+said)
		}
	}
	if len(lines) > 0 {
		w.line("roles:")
		w.take(lines)
		w.blank()
	}
}

func (c *converter) writeParameters(w *initialWriter, hide bool) {
	lines, given := []string{}, map[string]bool{}
	for _, p := range c.out.parameters {
		given[p.name] = true
		if hide && p.secret {
			lines = append(lines, "#"+flowText(p.name)+": "+Masked+" # a secret: it is written with -o FILE")
			continue
		}
		lines = append(lines, flowText(p.name)+": "+flow(p.value))
	}
	if c.bundle != nil {
		top := c.bundle.parametersText().top()
		for _, name := range top.properties() {
			p, _ := top.property(name)
			if _, _, hasDefault := p.fallback(); top.requires(name) && !hasDefault && !given[name] {
				lines = append(lines, flowText(name)+": "+fillInMark+fillIn(p))
			}
		}
	}
	if len(lines) > 0 {
		w.line("parameters:")
		w.take(indented(lines, "  "))
		w.blank()
	}
}

func (c *converter) writeLeft(w *initialWriter) {
	if len(c.left) == 0 {
		return
	}
	w.line("# Not converted from " + printable(filepath.Base(c.file)) + ":")
	for _, l := range c.left {
		w.line("#   " + printable(fmt.Sprintf("%s (line %d): %s", l.key, l.line, l.reason)))
		w.line("#     it was " + printable(l.value))
	}
}

// checkResult loads the new file and warns of what is still wrong with it, beyond what is to be filled in.
func (c *converter) checkResult(out *Conversion) {
	if c.bundle == nil {
		return
	}
	_, problems := ParseSite("cluster.yaml", out.YAML, c.bundle)
	lines := strings.Split(string(out.YAML), "\n")
	for _, p := range problems {
		if p.Warning || p.Line > 0 && p.Line <= len(lines) && strings.Contains(lines[p.Line-1], fillInMark) {
			continue
		}
		at := c.node
		if name, ok := strings.CutPrefix(p.Key, "parameters."); ok {
			name, _, _ = strings.Cut(name, ".")
			name, _, _ = strings.Cut(name, "[")
			if v := valueOf(c.cursor, name); v != nil {
				at = v.node
			}
		}
		c.add(Problem{Line: at.Line, Column: at.Column, Key: p.Key, Message: "what it became does not load: " + p.Message, Remedy: p.Remedy, Warning: true})
	}
}
