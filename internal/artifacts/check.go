package artifacts

import (
	"errors"
	"maps"
	"slices"

	"muster/internal/checks"
	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/render"
)

// checks renders the role's checks. Those of preflight run before the roster is known, so of the late values they may
// use the host's own. Summary and remedy are shown by the coordinator, which binds nothing.
func (r *roleRenderer) checks() []manifest.Check {
	list := []manifest.Check{}
	for _, c := range r.cluster.Bundle.Checks {
		if slices.Contains(c.Roles, r.role.Name) {
			list = append(list, r.check(c))
		}
	}
	return list
}

func (r *roleRenderer) check(c config.Check) manifest.Check {
	renderer := r.renderer
	if c.Stage == manifest.Preflight {
		renderer = renderer.Preflight()
	}
	out := manifest.Check{
		Name: c.Name, Stage: c.Stage, Probe: c.Probe, Severity: c.Severity, Timeout: c.Timeout, RetryFor: c.RetryFor,
		Summary: r.shown(c.Summary, "checks", c.Name, "summary"),
		Remedy:  r.shown(c.Remedy, "checks", c.Name, "remedy"),
	}
	if c.Script != "" {
		if out.Script = string(r.render(renderer, c.Script)); out.Script == "" && r.sources.texts[c.Script] == "" {
			r.problems.file(bundlePath(r.cluster.Bundle, c.Script), "the script of check "+c.Name+" is empty", "write it, or use a probe")
		}
		return out
	}
	early := true
	for _, key := range slices.Sorted(maps.Keys(c.With)) {
		value, err := shownRenderer(renderer).Render(r.place.file, []byte(c.With[key]))
		if err != nil {
			early = false
			r.inline(err, "checks", c.Name, "with", key)
			continue
		}
		if out.With == nil {
			out.With = map[string]string{}
		}
		out.With[key] = string(value)
		if _, found := r.space.Find(string(value)); found {
			early = false
		}
	}
	// Arguments that are known only on the host are checked there.
	if early {
		if err := checks.ValidateArgs(out.Probe, out.With); err != nil {
			r.badArguments(c, err)
		}
	}
	return out
}

// shown renders a text that the coordinator shows as it is.
func (r *roleRenderer) shown(text string, keys ...string) string {
	renderer, space := r.early()
	out, err := shownRenderer(renderer).Render(r.place.file, []byte(text))
	if err == nil && len(space.Table().Slots) > 0 {
		err = &render.Error{
			Message: "late value ." + late.Refs(space.Table())[0] + " cannot be used here: the text is shown before it is known",
			Remedy:  "say where the value is to be found instead; the host's name is shown beside the text anyway",
		}
	}
	if err != nil {
		r.inline(err, keys...)
	}
	return string(out)
}

// inline adds an error of a template that stands in bundle.yaml. The position inside it says little: a folded text has
// other lines than the file.
func (r *roleRenderer) inline(err error, keys ...string) {
	problem := r.place.find(keys...)
	var e *render.Error
	if errors.As(err, &e) {
		r.problems.rendering(problem, e)
		return
	}
	problem.Message, problem.Remedy = err.Error(), "correct the template"
	r.problems.add(problem)
}

func (r *roleRenderer) badArguments(c config.Check, err error) {
	problem := r.place.find("checks", c.Name, "with")
	if problem.Line == 0 {
		problem = r.place.find("checks", c.Name, "probe")
	}
	problem.Message, problem.Remedy = err.Error(), "correct the arguments of the probe "+c.Probe
	r.problems.add(problem)
}
