package config

import (
	"slices"
	"strings"
)

// UnusedParameters finds parameters that no template, check, step or rule reads. read gives the text of a file of the
// bundle.
func (b *BundleText) UnusedParameters(read func(path string) ([]byte, error)) Problems {
	properties, _ := b.Schema["properties"].(map[string]any)
	uses, _ := b.Uses(read) // what cannot be parsed is told where it is rendered
	used := map[string]bool{}
	for _, u := range uses {
		switch {
		case len(u.path) == 1 && u.path[0] == "Param":
			return nil // all of them at once
		case len(u.path) > 1 && u.path[0] == "Param":
			used[u.path[1]] = true
		}
	}
	for _, r := range b.Rules {
		for _, key := range r.Keys {
			name, _, _ := strings.Cut(key, ".")
			used[name] = true
		}
	}
	var problems Problems
	for name := range properties {
		if used[name] {
			continue
		}
		p := Problem{File: b.File, Key: "parameters.properties." + name, Warning: true,
			Message: "no template, check, step or rule reads this parameter", Remedy: "use it as {{ .Param." + name + " }}, or remove it: an operator who sets it expects something to change"}
		if key, _ := descend(b.top, "parameters", "properties", name); key != nil {
			p.Line, p.Column = key.Line, key.Column
		}
		problems = append(problems, p)
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return problems
}
