package config

import (
	"maps"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// spot is a place in the value that is explained.
type spot struct {
	cursor
	// inFile says that the value stands in the file, not in a default.
	inFile bool
	value  any
}

// locate finds the place in the file; what has been filled in is shown at the nearest value around it.
func (e explainer) locate(tokens []string) spot {
	s := spot{cursor: e.cursor, inFile: e.node != nil, value: e.value}
	for _, token := range tokens {
		switch v := s.value.(type) {
		case map[string]any:
			s.value = v[token]
		case []any:
			if i, err := strconv.Atoi(token); err == nil && i < len(v) {
				s.value = v[i]
			}
		}
		if !s.inFile {
			continue
		}
		next := step(s.cursor, token)
		if next == nil {
			s.inFile = false
			continue
		}
		s.cursor = *next
	}
	s.way = e.way.down(tokens, e.value)
	if !s.inFile {
		s.node = s.at
	}
	return s
}

// locationOfName gives the location of a property whose name is refused. The library tells where the object is, but in
// memory that it goes on to use, so the location may have been overwritten with that of another value as deep.
func (e explainer) locationOfName(location []string, name string) []string {
	location = append(slices.Clone(location), name)
	if has(e.value, location) {
		return location
	}
	if found := search(e.value, len(location), name); found != nil {
		return found
	}
	return location[:0]
}

func has(v any, location []string) bool {
	for _, token := range location {
		object, _ := v.(map[string]any)
		below, ok := object[token]
		if !ok {
			return false
		}
		v = below
	}
	return true
}

// search finds a property by its name and its depth.
func search(v any, depth int, name string) []string {
	var below map[string]any
	switch v := v.(type) {
	case map[string]any:
		below = v
	case []any:
		below = make(map[string]any, len(v))
		for i, item := range v {
			below[strconv.Itoa(i)] = item
		}
	}
	if _, ok := below[name]; ok && depth == 1 {
		return []string{name}
	}
	for _, token := range slices.Sorted(maps.Keys(below)) {
		if depth <= 1 {
			break
		}
		if found := search(below[token], depth-1, name); found != nil {
			return append([]string{token}, found...)
		}
	}
	return nil
}

// step goes to a key of a mapping or an item of a list, nil when there is none.
func step(c cursor, token string) *cursor {
	switch c.node.Kind {
	case yaml.MappingNode:
		return valueOf(c, token)
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(token); err == nil && i < len(c.node.Content) {
			item := c.node.Content[i]
			return &cursor{report: c.report, node: item, at: item}
		}
	}
	return nil
}

// declared gives the schema that stands for a location below properties and items alone, nil if there is none.
func (e explainer) declared(location []string) map[string]any {
	if e.isDefault || !e.parameters {
		return nil
	}
	raw := e.schema.raw
	for _, token := range location {
		if below := propertyOf(raw, token); below != nil {
			raw = below
		} else if raw, _ = raw["items"].(map[string]any); raw == nil {
			return nil
		}
	}
	return raw
}

func propertyOf(raw map[string]any, name string) map[string]any {
	properties, _ := raw["properties"].(map[string]any)
	property, _ := properties[name].(map[string]any)
	return property
}

// schemas are those that say something about a value that is wrong, the nearest first: the one that it does not fit,
// those that refer to it, and where the value is declared, as under a condition the first is only a part. What is said of
// a list is meant for its items.
func (e explainer) schemas(err *jsonschema.ValidationError, around []string) []map[string]any {
	schemas := []map[string]any{e.schema.at(err.SchemaURL)}
	for _, location := range slices.Backward(around) {
		schemas = append(schemas, e.schema.at(location))
	}
	schemas = append(schemas, e.declared(err.InstanceLocation))
	if n := len(err.InstanceLocation) - 1; n >= 0 && e.isList(err.InstanceLocation[:n]) {
		schemas = append(schemas, e.declared(err.InstanceLocation[:n]))
	}
	return schemas
}

func (e explainer) isList(location []string) bool {
	_, ok := e.locate(location).value.([]any)
	return ok
}

// namesIn collects the properties that a schema knows, also under conditions, sorted.
func (e explainer) namesIn(location string) []string {
	names := map[string]bool{}
	seen := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		raw, _ := v.(map[string]any)
		properties, _ := raw["properties"].(map[string]any)
		for name := range properties {
			names[name] = true
		}
		for _, keyword := range []string{"if", "then", "else"} {
			collectIf(raw[keyword], collect)
		}
		for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
			parts, _ := raw[keyword].([]any)
			for _, part := range parts {
				collect(part)
			}
		}
		dependent, _ := raw["dependentSchemas"].(map[string]any)
		for _, part := range dependent {
			collect(part)
		}
		if ref, ok := raw["$ref"].(string); ok && !seen[ref] {
			seen[ref] = true
			collectIf(e.schema.at(ref), collect)
		}
	}
	collect(e.schema.at(location))
	return slices.Sorted(maps.Keys(names))
}

// collectIf keeps nil out of the recursion.
func collectIf(v any, collect func(any)) {
	if m, ok := v.(map[string]any); ok && m != nil {
		collect(m)
	}
}
