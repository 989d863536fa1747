package config

// constants rewrites const and enum where defaults are filled into the value before it is compared.
func (e *editor) constants(out, raw map[string]any, around declared) {
	if !around.any(e) {
		return
	}
	var allowed []any
	if c, ok := raw["const"]; ok {
		delete(out, "const")
		allowed = []any{around.constant(e, c)}
	} else if list, ok := raw["enum"].([]any); ok {
		delete(out, "enum")
		for _, c := range list {
			allowed = append(allowed, around.constant(e, c))
		}
	}
	if allowed != nil {
		all, _ := out["allOf"].([]any)
		out["allOf"] = append(all, map[string]any{"anyOf": allowed})
	}
}

// constant gives a schema for what becomes value when defaults are filled in.
func (d declared) constant(e *editor, value any) map[string]any {
	m, ok := value.(map[string]any)
	if !ok {
		return map[string]any{"const": value}
	}
	for _, raw := range d {
		for name := range asMap(raw["properties"]) {
			if _, there := m[name]; !there && d.fills(e, name) {
				return map[string]any{"not": map[string]any{}}
			}
		}
	}
	properties, required := map[string]any{}, []any{}
	for _, name := range sortedKeys(m) {
		properties[name] = d.property(e, name).constant(e, m[name])
		if fallback, ok := d.fallback(e, name); !ok || !equal(fallback, m[name]) {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
