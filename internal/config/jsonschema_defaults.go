package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// editor rewrites a schema of parameters for whoever validates without filling in defaults first. A schema that is
// taken over as it is would ask for a required parameter that has a default, and would see conditions met by the absence
// of a value whose default does not meet them.
type editor struct {
	schema *schema
	err    error
}

// editorSchema gives the rewritten schema, to stand at parametersPointer.
func editorSchema(s *schema) (map[string]any, error) {
	e := &editor{schema: s}
	out := e.rewrite(s.raw, "", nil)
	return out, e.err
}

// declared are the schemas that give defaults to the properties of one value.
type declared []map[string]any

// rewrite gives a copy of the schema at pointer. around are schemas for the same value, which may give defaults.
func (e *editor) rewrite(raw map[string]any, pointer string, around declared) map[string]any {
	around = append(slices.Clip(around), e.declaring(raw)...)
	out := make(map[string]any, len(raw))
	secret := raw["writeOnly"] == true
	for keyword, v := range raw {
		below := pointerTo(pointer, keyword)
		switch keyword {
		case "$ref", "$dynamicRef":
			out[keyword] = rooted(v)
		case "default", "examples", "const", "enum":
			if !secret || keyword == "const" || keyword == "enum" {
				out[keyword] = v
			}
		case "properties", "patternProperties", "$defs":
			out[keyword] = e.named(v, below, func(name string) declared {
				if keyword == "properties" {
					return around.property(e, name)
				}
				return nil
			})
		case "dependentSchemas":
			out[keyword] = e.named(v, below, func(string) declared { return around })
		case "allOf", "anyOf", "oneOf":
			out[keyword] = e.list(v, below, around)
		case "prefixItems":
			out[keyword] = e.list(v, below, nil)
		case "not", "if", "then", "else":
			out[keyword] = e.value(v, below, around)
		case "items", "contains", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames":
			out[keyword] = e.value(v, below, nil)
		default:
			out[keyword] = v
		}
	}
	e.presence(out, raw, pointer, around)
	e.constants(out, raw, around)
	return out
}

// presence makes what a schema says of the presence of properties true of a file without defaults.
func (e *editor) presence(out, raw map[string]any, pointer string, around declared) {
	var required []any
	if list, ok := raw["required"].([]any); ok {
		for _, name := range list {
			if s, ok := name.(string); !ok || !around.fills(e, s) {
				required = append(required, name)
			}
		}
	}
	for _, name := range sortedKeys(asMap(raw["properties"])) {
		p := propertyOf(raw, name)
		if _, own := p["default"]; own {
			continue // the loader of bundles has seen to it that it fits
		}
		value, ok := around.fallback(e, name)
		if ok && !e.accepts(pointerTo(pointerTo(pointer, "properties"), name), value) {
			required = append(required, name)
		}
	}
	if dependent, ok := raw["dependentRequired"].(map[string]any); ok {
		kept := map[string]any{}
		for _, name := range sortedKeys(dependent) {
			names, _ := dependent[name].([]any)
			names = slices.DeleteFunc(slices.Clone(names), func(n any) bool { s, ok := n.(string); return ok && around.fills(e, s) })
			if around.fills(e, name) {
				required = append(required, names...)
			} else if len(names) > 0 {
				kept[name] = names
			}
		}
		delete(out, "dependentRequired")
		if len(kept) > 0 {
			out["dependentRequired"] = kept
		}
	}
	delete(out, "required")
	if required = unique(required); len(required) > 0 {
		out["required"] = required
	}
	if around.any(e) {
		// How many there are with the defaults, a schema cannot count.
		delete(out, "minProperties")
	}
}

func unique(list []any) []any {
	var out []any
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (e *editor) named(v any, pointer string, around func(name string) declared) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(m))
	for name, below := range m {
		out[name] = e.value(below, pointerTo(pointer, name), around(name))
	}
	return out
}

func (e *editor) list(v any, pointer string, around declared) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, below := range list {
		out[i] = e.value(below, pointerTo(pointer, strconv.Itoa(i)), around)
	}
	return out
}

func (e *editor) value(v any, pointer string, around declared) any {
	if raw, ok := v.(map[string]any); ok {
		return e.rewrite(raw, pointer, around)
	}
	return v
}

// rooted moves a reference to where the parameters' schema stands.
func rooted(v any) any {
	ref, ok := v.(string)
	if ok && (ref == "#" || strings.HasPrefix(ref, "#/")) {
		return "#" + parametersPointer + strings.TrimPrefix(ref, "#")
	}
	return v
}

// declaring gives the schemas from which defaults are filled in: those that fillDefaults follows.
func (e *editor) declaring(raw map[string]any) declared {
	var out declared
	text := &schemaText{raw: e.schema.raw}
	for _, part := range (view{in: text, raw: raw}).parts() {
		out = append(out, part.raw)
	}
	return out
}

func (d declared) property(e *editor, name string) declared {
	var out declared
	for _, raw := range d {
		if p := propertyOf(raw, name); p != nil {
			out = append(out, e.declaring(p)...)
		}
	}
	return out
}

// fallback gives what is filled in for a property that is absent, with what its default leaves to further defaults.
func (d declared) fallback(e *editor, name string) (any, bool) {
	for _, raw := range d {
		p := propertyOf(raw, name)
		if p == nil {
			continue
		}
		value, _, ok := view{in: &schemaText{raw: e.schema.raw}, raw: p}.fallback()
		if !ok {
			continue
		}
		switch value := clone(value).(type) {
		case map[string]any, []any:
			return e.filled(p, value), true
		}
		return value, true
	}
	return nil, false
}

// filled gives a default with the defaults of what is in it.
func (e *editor) filled(p map[string]any, value any) any {
	const probe = "muster-default"
	raw := maps.Clone(e.schema.raw)
	raw["$defs"] = map[string]any{probe: p}
	for name, def := range asMap(e.schema.raw["$defs"]) {
		asMap(raw["$defs"])[name] = def
	}
	compiled, err := compile(raw, "/$defs/"+probe)
	if err == nil {
		value, err = fillDefaults(compiled[0], value)
	}
	if err != nil {
		e.err = err
	}
	return value
}

// fills says whether a property is there in any case.
func (d declared) fills(e *editor, name string) bool {
	for _, raw := range d {
		if p := propertyOf(raw, name); p != nil {
			if _, _, ok := (view{in: &schemaText{raw: e.schema.raw}, raw: p}).fallback(); ok {
				return true
			}
		}
	}
	return false
}

func (d declared) any(e *editor) bool {
	for _, raw := range d {
		for name := range asMap(raw["properties"]) {
			if d.fills(e, name) {
				return true
			}
		}
	}
	return false
}

// accepts says whether the schema at a pointer takes a value.
func (e *editor) accepts(pointer string, value any) bool {
	compiled, err := compile(e.schema.raw, pointer)
	if err != nil {
		e.err = err
		return true
	}
	return compiled[0].Validate(value) == nil
}
