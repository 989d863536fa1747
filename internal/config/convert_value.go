package config

import (
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// readParameters takes over what the bundle has a parameter for.
func (c *converter) readParameters() {
	if c.bundle == nil {
		return
	}
	s, err := c.bundle.parameters()
	if err != nil {
		return // what was loaded has one that compiles
	}
	top := c.bundle.parametersText().top()
	names := top.properties()
	for key, v := range c.entries() {
		if !slices.Contains(names, key) {
			continue
		}
		c.taken[key] = true
		p, _ := top.property(key)
		secret := p.holdsSecret()
		if secret {
			c.secrets = true
			c.unshow(v.node)
		}
		raw, ok := c.data(v, secret)
		if !ok {
			continue // reported; the file is refused
		}
		fits := valuesOf(s, key)
		if (v.empty() || v.node.Value == "" && v.node.Kind == yaml.ScalarNode) && !fits(raw) {
			c.leave(v, "it has no value", "leave it out for the default")
			continue
		}
		value := typed(v.node, raw, fits)
		c.out.parameters = append(c.out.parameters, convertedParameter{key, value, secret})
	}
}

// data is a value of the file. Where it cannot be read, that is a problem, which does not show a secret.
func (c *converter) data(v cursor, secret bool) (any, bool) {
	if !secret {
		return v.data()
	}
	raw, ok := cursor{report: &report{}, node: v.node, at: v.at}.data()
	if !ok {
		v.fail("holds a number that cannot be read", "put it in quotes")
	}
	return raw, ok
}

// valuesOf says whether a value fits a parameter.
func valuesOf(s *schema, name string) func(v any) bool {
	var compiled *jsonschema.Schema
	for _, part := range (view{in: &schemaText{raw: s.raw}, raw: s.raw}).parts() {
		p, ok := part.raw["properties"].(map[string]any)[name]
		if !ok {
			continue
		}
		// The parameter alone, but with all that it may refer to.
		raw := map[string]any{"$defs": map[string]any{"muster-all": s.raw, "muster-one": p}}
		for keyword, v := range s.raw {
			if keyword == "properties" {
				raw[keyword] = v
			}
		}
		for name, def := range asMap(s.raw["$defs"]) {
			asMap(raw["$defs"])[name] = def
		}
		if one, err := compile(raw, "/$defs/muster-one"); err == nil {
			compiled = one[0]
			break
		}
	}
	return func(v any) bool {
		if compiled == nil {
			return true
		}
		filled, err := fillDefaults(compiled, clone(v))
		return err == nil && compiled.Validate(filled) == nil
	}
}

// typed gives the value that a parameter wants of what the ancestor wrote: as it stands if that fits, else what the
// string holds, else a number as the text that it was. If none fits it stays as it is, and loading says what is wrong.
func typed(n *yaml.Node, raw any, fits func(any) bool) any {
	for _, candidate := range append([]any{raw}, candidates(n)...) {
		if fits(candidate) {
			return candidate
		}
	}
	return raw
}

// candidates are the other readings of a value, the likeliest first.
func candidates(n *yaml.Node) []any {
	var out []any
	if n.Kind != yaml.ScalarNode {
		// The ancestor's strings are inside of lists and mappings too.
		return []any{deep(n)}
	}
	if !isText(n) {
		return []any{n.Value}
	}
	text := strings.TrimSpace(n.Value)
	if inner, ok := unpackText(n); ok {
		if v, ok := decoded(inner); ok {
			out = append(out, v)
			if inner.Kind != yaml.ScalarNode {
				out = append(out, deep(inner))
			}
		}
	}
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		out = append(out, true)
	case "false", "no", "off":
		out = append(out, false)
	}
	// A list of one was often written without brackets.
	return append(out, text, []any{text})
}

func decoded(n *yaml.Node) (any, bool) {
	return cursor{report: &report{}, node: n, at: n}.data()
}

// deep unpacks the strings inside of a value, too.
func deep(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = deep(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			out[i] = deep(item)
		}
		return out
	}
	if isText(n) {
		if inner, ok := unpackText(n); ok && inner.Kind == yaml.ScalarNode {
			n = inner
		}
	}
	v, _ := decoded(n)
	return v
}
