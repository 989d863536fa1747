package config

import (
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Sample imagines parameters that an operator might write, to try the bundle's templates: what is required, or all that
// there is, with the defaults filled in. It fails when the schema asks for something that cannot be guessed.
func (b *Bundle) Sample(all bool) (map[string]any, error) {
	s, err := b.parameters()
	if err != nil {
		return nil, err
	}
	g := guesser{root: s.raw, all: all}
	value, err := g.object(s.raw, "")
	if err != nil {
		return nil, err
	}
	// What one round adds can ask for more in the next.
	for round := 0; ; round++ {
		filled, err := fillDefaults(s.compiled, clone(value))
		if err != nil {
			return nil, err
		}
		r := &report{}
		at := cursor{report: r, at: &yaml.Node{}, way: (*trail)(nil).key("parameters")}
		explainer{cursor: at, value: filled, schema: s, parameters: true}.validate(s.compiled)
		if !r.failed() {
			return filled.(map[string]any), nil
		}
		if round == maxRounds || !g.follow(value, r.problems) {
			return nil, fmt.Errorf("%s: %s", r.problems[0].Key, r.problems[0].Message)
		}
	}
}

// maxRounds is more than conditions build upon each other.
const maxRounds = 10

// follow adds the parameters that conditions ask for, and takes away those that they exclude. It says whether it changed
// anything.
func (g guesser) follow(value map[string]any, problems Problems) bool {
	properties, _ := g.root["properties"].(map[string]any)
	changed := false
	for _, p := range problems {
		name, _ := strings.CutPrefix(p.Key, "parameters.")
		schema, known := properties[name].(map[string]any)
		if !known || p.Warning {
			continue
		}
		if _, there := value[name]; there {
			delete(value, name)
			changed = true
		} else if v, err := g.value(schema, name); err == nil {
			value[name], changed = v, true
		}
	}
	return changed
}

// guesser makes values that a schema might accept: examples before anything else, since the publisher knows best.
type guesser struct {
	root map[string]any
	all  bool
	// depth ends schemas that contain themselves.
	depth int
}

var errCannotGuess = errors.New("no value can be imagined")

func (g guesser) object(schema map[string]any, way string) (map[string]any, error) {
	out := map[string]any{}
	required := map[string]bool{}
	list, _ := schema["required"].([]any)
	for _, name := range list {
		if s, ok := name.(string); ok {
			required[s] = true
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, below := range properties {
		raw, _ := below.(map[string]any)
		if _, filled := raw["default"]; filled || !g.all && !required[name] || raw == nil {
			continue
		}
		v, err := g.value(raw, way+name)
		switch {
		case err == nil:
			out[name] = v
		case required[name]:
			return nil, err
		}
	}
	return out, nil
}

func (g guesser) value(schema map[string]any, way string) (any, error) {
	if g.depth++; g.depth > maxDepth {
		return nil, fmt.Errorf("parameter %s: %w", way, errCannotGuess)
	}
	if examples, _ := schema["examples"].([]any); len(examples) > 0 {
		return clone(examples[0]), nil
	}
	for _, keyword := range []string{"const", "default"} {
		if v, ok := schema[keyword]; ok {
			return clone(v), nil
		}
	}
	if values, _ := schema["enum"].([]any); len(values) > 0 {
		return clone(values[0]), nil
	}
	if ref, _ := schema["$ref"].(string); strings.HasPrefix(ref, "#/") {
		if v, ok := lookup(g.root, ref); ok {
			if below, ok := v.(map[string]any); ok {
				return g.value(below, way)
			}
		}
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		if parts, _ := schema[keyword].([]any); len(parts) > 0 {
			if below, ok := parts[0].(map[string]any); ok {
				return g.value(below, way)
			}
		}
	}
	return g.typed(schema, way)
}

func (g guesser) typed(schema map[string]any, way string) (any, error) {
	name, _ := schema["type"].(string)
	if kinds, _ := schema["type"].([]any); len(kinds) > 0 {
		name, _ = kinds[0].(string)
	}
	if f, ok := schema["format"].(string); ok && (name == "" || name == "string") {
		if f, ok := formatNamed(f); ok && f.example != "" {
			return f.example, nil
		}
	}
	_, pattern := schema["pattern"]
	switch name {
	case "integer", "number":
		return g.number(schema), nil
	case "boolean":
		return true, nil
	case "array":
		least, _ := schema["minItems"].(int64)
		items, _ := schema["items"].(map[string]any)
		out := []any{}
		for range max(least, 1) {
			v, err := g.value(items, way+"[]")
			if err != nil {
				return out, err
			}
			out = append(out, v)
		}
		return out, nil
	case "object":
		return g.object(schema, way+".")
	case "string":
		if !pattern {
			least, _ := schema["minLength"].(int64)
			return strings.Repeat("sample", 1+int(min(least, maxPath))/6), nil
		}
	}
	return nil, fmt.Errorf("parameter %s: %w; give it examples in the schema", way, errCannotGuess)
}

func (g guesser) number(schema map[string]any) any {
	for _, keyword := range []string{"minimum", "maximum", "multipleOf"} {
		if v, ok := schema[keyword]; ok {
			return v
		}
	}
	if v, ok := schema["exclusiveMinimum"].(int64); ok {
		return v + 1
	}
	return int64(1)
}
