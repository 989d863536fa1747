package artifacts

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/render"
)

// rendered is one role with everything but its packages' blobs.
type rendered struct {
	role   config.Role
	count  int
	files  []file
	units  []manifest.Unit
	checks []manifest.Check
	steps  []manifest.Step
	late   manifest.LateTable
	// packages are those of the role, in the order of the bundle.
	packages []config.Package
}

// roleRenderer renders what one role has. It is used once: what it printed becomes the role's late table.
type roleRenderer struct {
	cluster  *config.Cluster
	sources  *sources
	problems *problems
	role     config.Role
	space    *late.Space
	renderer *render.Renderer
	// early sees no late values: it is for texts that the coordinator shows.
	early func() (*render.Renderer, *late.Space)
	place locator
}

func renderRole(c *config.Cluster, s *sources, marker string, role config.Role, place locator, p *problems) rendered {
	spec := late.Spec{Rosters: map[manifest.Role]int{}, Endpoint: c.Endpoint != "", Secrets: mayRead(c, role)}
	for _, r := range c.Bundle.Roles {
		if r.Counted() {
			spec.Rosters[r.Name] = c.Roles[r.Name].Count
		}
	}
	context := render.Context{
		Param:   c.Bundle.Conceal(c.Parameters, render.Withhold),
		Cluster: clusterInfo(c),
		Role:    render.RoleInfo{Name: string(role.Name), Count: c.Roles[role.Name].Count},
	}
	space := late.NewSpace(marker, spec)
	r := &roleRenderer{
		cluster: c, sources: s, problems: p, role: role,
		space: space, renderer: render.New(context, space), place: place,
		early: func() (*render.Renderer, *late.Space) {
			own := late.NewSpace(marker, spec)
			return render.New(context, own), own
		},
	}
	out := rendered{role: role, count: context.Role.Count}
	out.files = append(out.files, r.hostEnv())
	out.files = append(out.files, r.files()...)
	units := r.units()
	for _, u := range units {
		out.units = append(out.units, manifest.Unit{Name: path.Base(u.path), Path: u.path})
	}
	out.files = append(out.files, units...)
	out.checks = r.checks()
	out.steps = r.steps()
	out.late = space.Table()
	for _, pkg := range c.Bundle.Packages {
		if slices.Contains(pkg.Roles, role.Name) {
			out.packages = append(out.packages, pkg)
		}
	}
	r.findCollisions(out)
	return out
}

// render renders one template file of the bundle.
func (r *roleRenderer) render(with *render.Renderer, template string) []byte {
	text := r.sources.texts[template]
	shown := bundlePath(r.cluster.Bundle, template)
	content, err := with.Render(shown, []byte(text))
	if err != nil {
		r.problems.template(shown, text, err)
	}
	return content
}

func (r *roleRenderer) files() []file {
	var files []file
	for _, f := range r.cluster.Bundle.Files {
		if slices.Contains(f.Roles, r.role.Name) {
			files = append(files, r.file(f))
		}
	}
	return files
}

// units gives the services and the target that wants them all.
func (r *roleRenderer) units() []file {
	var units []file
	var names []string
	for _, u := range r.cluster.Bundle.Units {
		if !slices.Contains(u.Roles, r.role.Name) {
			continue
		}
		name := r.cluster.Name + "-" + u.Name + ".service"
		names = append(names, name)
		units = append(units, file{path: "units/" + name, mode: 0o644, content: r.render(r.unitRenderer(), u.Template)})
	}
	slices.Sort(names)
	units = append(units, file{path: "units/" + r.cluster.Name + ".target", mode: 0o644, content: target(r.cluster.Name, r.role.Name, names)})
	slices.SortFunc(units, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return units
}

// target starts and shows the role's services as one.
func target(cluster string, role manifest.Role, units []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=Services of %s (%s)\n", cluster, role)
	if len(units) > 0 {
		all := strings.Join(units, " ")
		fmt.Fprintf(&b, "Wants=%s\nAfter=%s\n", all, all)
	}
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	return []byte(b.String())
}

// hostEnv tells units and scripts which host this is. Names and addresses need no quotes, neither for systemd's
// EnvironmentFile= nor for a shell: late values are validated before they are bound.
func (r *roleRenderer) hostEnv() file {
	text := "MUSTER_CLUSTER={{ .Cluster.Name }}\n" +
		"MUSTER_ROLE={{ .Role.Name }}\n" +
		"MUSTER_HOST_NAME={{ .Host.Name }}\n" +
		"MUSTER_HOST_ADDRESS={{ .Host.Address }}\n"
	if r.role.Counted() {
		text += "MUSTER_HOST_INDEX={{ .Host.Index }}\n"
	}
	content, err := r.renderer.Render(hostEnvFile, []byte(text))
	if err != nil {
		r.problems.template(hostEnvFile, text, err)
	}
	return file{path: hostEnvFile, mode: 0o644, content: content}
}

const hostEnvFile = "etc/host.env"

// findCollisions looks for two things of a role that would have the same place in the generation.
func (r *roleRenderer) findCollisions(out rendered) {
	archs := map[manifest.Arch]bool{}
	for _, pkg := range out.packages {
		for arch := range r.sources.trees[pkg.Name] {
			archs[arch] = true
		}
	}
	for arch := range archs {
		owner := map[string]string{}
		for _, f := range out.files {
			owner[f.path] = "a file"
		}
		for _, pkg := range out.packages {
			t, ok := r.sources.trees[pkg.Name][arch]
			if !ok {
				continue
			}
			for _, link := range t.links() {
				other, taken := owner[link]
				if !taken {
					owner[link] = "package " + pkg.Name
					continue
				}
				position := r.place.find("packages", pkg.Name)
				position.Message = fmt.Sprintf("package %s and %s both have %s in role %s", pkg.Name, other, link, r.role.Name)
				position.Remedy = "rename it in one of the two, or give them to different roles"
				r.problems.add(position)
			}
		}
	}
}
