package config

import (
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxDefaults bounds the work of filling: a schema of a few lines can ask for defaults within defaults without end.
const maxDefaults = 100_000

var (
	errEndlessDefaults = errors.New("the defaults contain each other without end")
	errTooManyDefaults = errors.New("the defaults make more values than any software needs")
)

// filler puts the defaults of a schema into a value. An object that is absent and has no default itself stays absent,
// with whatever defaults are inside; with default: {} it appears with all of them.
type filler struct {
	filled int
	// expanding are the schemas whose default is being filled, the innermost last.
	expanding []*jsonschema.Schema
	err       error
}

// fillDefaults gives value with the defaults of s. It changes value.
func fillDefaults(s *jsonschema.Schema, value any) (any, error) {
	var f filler
	f.fill(s, value, map[*jsonschema.Schema]bool{})
	return value, f.err
}

// fill fills value in place. It comes to the same value through allOf and $ref, and remembers in seen with which
// schemas, because these can lead in a circle.
func (f *filler) fill(s *jsonschema.Schema, value any, seen map[*jsonschema.Schema]bool) {
	if s == nil || seen[s] || f.err != nil {
		return
	}
	seen[s] = true
	switch v := value.(type) {
	case map[string]any:
		f.fillObject(s, v)
	case []any:
		for i, item := range v {
			if i < len(s.PrefixItems) {
				f.fill(s.PrefixItems[i], item, map[*jsonschema.Schema]bool{})
			} else {
				f.fill(s.Items2020, item, map[*jsonschema.Schema]bool{})
			}
		}
	default:
		return
	}
	f.fill(s.Ref, value, seen)
	for _, part := range s.AllOf {
		f.fill(part, value, seen)
	}
}

func (f *filler) fillObject(s *jsonschema.Schema, object map[string]any) {
	for name, property := range s.Properties {
		if value, ok := object[name]; ok {
			f.fill(property, value, map[*jsonschema.Schema]bool{})
		} else if value := defaultOf(property); value != nil {
			f.expand(property, object, name, *value)
		}
	}
	additional, ok := s.AdditionalProperties.(*jsonschema.Schema)
	if !ok {
		return
	}
	for name, value := range object {
		if _, listed := s.Properties[name]; listed || matchesAny(s, name) {
			continue
		}
		f.fill(additional, value, map[*jsonschema.Schema]bool{})
	}
}

// expand puts a default into object and fills that in turn.
func (f *filler) expand(property *jsonschema.Schema, object map[string]any, name string, value any) {
	if slices.Contains(f.expanding, property) {
		f.err = errEndlessDefaults
		return
	}
	if f.filled++; f.filled > maxDefaults {
		f.err = errTooManyDefaults
		return
	}
	f.expanding = append(f.expanding, property)
	value = clone(value)
	object[name] = value
	f.fill(property, value, map[*jsonschema.Schema]bool{})
	f.expanding = f.expanding[:len(f.expanding)-1]
}

func matchesAny(s *jsonschema.Schema, name string) bool {
	for pattern := range s.PatternProperties {
		if pattern.MatchString(name) {
			return true
		}
	}
	return false
}

// defaultOf gives a schema's default, its own before that of what it refers to.
func defaultOf(s *jsonschema.Schema) *any {
	for range maxDepth {
		if s == nil || s.Default != nil {
			break
		}
		s = s.Ref
	}
	if s == nil {
		return nil
	}
	return s.Default
}

// clone copies decoded JSON, so that no two values share a part.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, below := range v {
			out[name] = clone(below)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, below := range v {
			out[i] = clone(below)
		}
		return out
	default:
		return v
	}
}

// checkDefaults checks every default against the schema that it is in: it will be used unseen.
func (r *schemaReader) checkDefaults(s *schema) {
	pointers := make([]string, len(r.defaults))
	for i, d := range r.defaults {
		pointers[i] = d.pointer
	}
	compiled, err := compile(s.raw, pointers...)
	if err != nil {
		return // the schema as a whole did compile, so this cannot be
	}
	for i, d := range r.defaults {
		value, _ := d.c.data()
		value, err := fillDefaults(compiled[i], value)
		if err != nil {
			d.c.fail(err.Error(), "give no default to a value inside itself; set such values where they are used")
			continue
		}
		explainer{cursor: d.c, value: value, schema: s, isDefault: true}.validate(compiled[i])
	}
}
