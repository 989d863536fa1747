package artifacts

import (
	"slices"
	"strings"

	"muster/internal/config"
	"muster/internal/manifest"
)

// steps renders the role's steps. A script that renders to nothing but blanks is left out: so a parameter can decide
// whether there is such a step.
func (r *roleRenderer) steps() []manifest.Step {
	var list []manifest.Step
	for _, s := range r.cluster.Bundle.Steps {
		if !slices.Contains(s.Roles, r.role.Name) {
			continue
		}
		if strings.TrimSpace(r.sources.texts[s.Script]) == "" {
			r.problems.file(bundlePath(r.cluster.Bundle, s.Script), "the script of step "+s.Name+" is empty", "write it, or remove the step")
			continue
		}
		script := string(r.render(r.renderer, s.Script))
		remedy := r.shown(s.Remedy, "steps", s.Name, "remedy")
		if strings.TrimSpace(script) != "" {
			list = append(list, manifest.Step{Name: s.Name, When: s.When, Script: script, Timeout: s.Timeout, Remedy: remedy, Once: s.Once})
		}
	}
	return list
}

// owners gives the files and directories of a role that somebody other than root has, or that are to be made.
func owners(b *config.Bundle, role manifest.Role) (files []manifest.OwnedFile, dirs []manifest.Directory) {
	for _, f := range b.Files {
		if slices.Contains(f.Roles, role) && f.Owner != (manifest.Owner{}) {
			files = append(files, manifest.OwnedFile{Path: f.Path, Owner: f.Owner})
		}
	}
	for _, d := range b.Directories {
		if slices.Contains(d.Roles, role) {
			dirs = append(dirs, manifest.Directory{Path: d.Path, Mode: d.Mode, Owner: d.Owner})
		}
	}
	return files, dirs
}
