package artifacts

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"muster/internal/config"
	"muster/internal/manifest"
)

// sections are those that a service has.
var sections = []string{"Unit", "Service", "Install"}

// units looks at each service as it comes out.
func (l *linter) units() {
	for _, r := range l.rendered {
		for _, f := range r.files {
			name, ok := strings.CutPrefix(f.path, "units/lint-")
			if !ok {
				continue
			}
			for _, u := range l.bundle.Units {
				if u.Name+".service" == name {
					l.unit(r, u, string(f.content))
				}
			}
		}
	}
	for _, u := range l.bundle.Units {
		for _, ending := range []string{".target", ".timer", ".socket", ".mount", ".path", ".slice"} {
			if strings.HasSuffix(u.Name, ending) {
				l.warn(l.sources.place.find("units", u.Name), "this becomes the service lint-"+u.Name+".service; only services are installed", "name it without "+ending+"; write what you need as a service")
			}
		}
	}
}

// setting is one line of a unit.
type setting struct {
	line                int
	section, key, value string
}

func (l *linter) unit(r rendered, u config.Unit, text string) {
	at := func(n int) config.Problem {
		template := l.sources.texts[u.Template]
		p := config.Problem{File: bundlePath(l.bundle, u.Template)}
		if p.Line = templateLine(template, text, n); p.Line > 0 {
			p.Column, p.Source = 1, line(template, p.Line)
		}
		return p
	}
	fail := func(n int, message, remedy string) {
		p := at(n)
		p.Message, p.Remedy = message, remedy
		l.problems.add(p)
	}
	settings := readUnit(text, fail)
	has := func(key string) bool {
		return slices.ContainsFunc(settings, func(s setting) bool { return s.section == "Service" && s.key == key })
	}
	switch {
	case !slices.ContainsFunc(settings, func(s setting) bool { return s.section == "Service" }):
		fail(0, "the unit has no section [Service]", "write [Service] with ExecStart=")
		return
	case !has("ExecStart"):
		fail(0, "the service has no ExecStart=", "write what is to be run, such as ExecStart={{ .Cluster.Root }}/current/bin/"+u.Name)
	case !strings.Contains(text, "/opt/lint/"):
		fail(0, "the unit names nothing below {{ .Cluster.Root }}, so it could not be told from other units when it is to be removed", "run a program of the bundle, or write EnvironmentFile={{ .Cluster.Root }}/current/etc/host.env")
	}
	for _, s := range settings {
		switch {
		case s.section == "Install":
			l.warn(at(s.line), "[Install] has no effect: the cluster's target starts every unit of the role", "remove the section")
		case s.section == "Service" && strings.HasPrefix(s.key, "Exec"):
			l.command(r, s, fail)
		}
	}
	if !has("Restart") && !slices.ContainsFunc(settings, func(s setting) bool { return s.key == "Type" && s.value == "oneshot" }) {
		l.warn(at(0), "the service has no Restart=, so it stays away when it fails once", "write Restart=on-failure, or Restart=no if it is meant so")
	}
}

// readUnit reads lines of systemd.syntax(7).
func readUnit(text string, fail func(n int, message, remedy string)) []setting {
	var all []setting
	section := ""
	continued := false
	for i, raw := range strings.Split(text, "\n") {
		n, text := i+1, strings.TrimSpace(raw)
		was := continued
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		continued = strings.HasSuffix(text, `\`)
		if was {
			continue
		}
		if strings.HasPrefix(text, "[") {
			section = strings.Trim(text, "[]")
			if !slices.Contains(sections, section) && !strings.HasPrefix(section, "X-") {
				fail(n, "a service has no section "+text, "the sections are [Unit], [Service] and [Install]")
			}
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		switch {
		case !ok:
			fail(n, "this line is neither a [Section] nor Key=value", "correct it after systemd.syntax(7)")
		case section == "":
			fail(n, "this line stands before the first [Section]", "write [Unit] or [Service] above it")
		default:
			all = append(all, setting{n, section, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return all
}

// current is a program of the generation.
var current = regexp.MustCompile(`^/opt/lint/current/(\S+)$`)

// command looks at what a unit runs. A path may begin with characters that say how.
func (l *linter) command(r rendered, s setting, fail func(n int, message, remedy string)) {
	program, _, _ := strings.Cut(strings.TrimLeft(s.value, "-@:+!|"), " ")
	program = strings.Trim(program, `"'`)
	if program == "" {
		return // an empty value takes earlier ones back
	}
	m := current.FindStringSubmatch(program)
	found, executable := false, false
	if m != nil {
		found, executable = l.inGeneration(r, m[1])
	}
	switch {
	case !strings.HasPrefix(program, "/"):
		fail(s.line, s.key+"= runs "+program+", which is not an absolute path", "write the whole path, such as {{ .Cluster.Root }}/current/bin/"+path.Base(program)+" or /bin/sh")
	case found && !executable:
		fail(s.line, s.key+"= runs "+m[1]+", which is not executable", "chmod 755 it in the package; for one below files write mode: \"0755\"")
	case m != nil && !found:
		fail(s.line, s.key+"= runs "+m[1]+", which neither a file nor a package of the role "+string(r.role.Name)+" has", "add it, or correct the path; the packages' bin and lib are joined in {{ .Cluster.Root }}/current")
	}
}

// inGeneration says whether a role's generation has a file, on any architecture, and whether it can be run on all that
// have it.
func (l *linter) inGeneration(r rendered, name string) (found, executable bool) {
	for _, f := range r.files {
		if f.path == name {
			return true, f.mode&0o111 != 0
		}
	}
	executable = true
	for _, pkg := range r.packages {
		for _, arch := range []manifest.Arch{"amd64", "arm64"} {
			t, ok := l.sources.trees[pkg.Name][arch]
			if !ok || !slices.Contains(t.links(), name) {
				continue
			}
			byPath := t.byPath()
			e, _ := fileAt(byPath[name], byPath)
			found, executable = true, executable && e.mode&0o111 != 0
		}
	}
	return found, executable
}
