package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// terms says in words what a value may be, as in "whole number from 1 to 65535"; nothing if anything goes.
func (v view) terms() string { return v.termsAt(0) }

// maxTerms is how deep items and alternatives are told.
const maxTerms = 3

func (v view) termsAt(depth int) string {
	if depth > maxTerms {
		return ""
	}
	if value, ok := v.word("const"); ok {
		return "only " + show(value)
	}
	if list, ok := v.word("enum"); ok {
		if values, ok := list.([]any); ok {
			return choice(shown(values))
		}
	}
	types := v.types()
	var parts []string
	switch {
	case len(types) == 1:
		parts = append(parts, v.typed(types[0], depth))
	case len(types) > 1:
		words := make([]string, len(types))
		for i, t := range types {
			words[i] = typeWords[t]
		}
		parts = append(parts, choice(words))
	default:
		if s := v.text(); s != "" {
			parts = append(parts, s)
		}
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		if s := v.alternatives(keyword, depth); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func (v view) types() []string {
	switch t, _ := v.word("type"); t := t.(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, item := range t {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

func (v view) alternatives(keyword string, depth int) string {
	for _, part := range v.parts() {
		list, _ := part.raw[keyword].([]any)
		var words []string
		for i := range list {
			if below, ok := part.below(keyword, fmt.Sprint(i)); ok {
				if s := below.termsAt(depth + 1); s != "" {
					words = append(words, s)
				}
			}
		}
		if len(words) > 0 && len(words) == len(list) {
			return strings.Join(words, "; or ")
		}
	}
	return ""
}

func (v view) typed(t string, depth int) string {
	switch t {
	case "integer", "number":
		what := "number"
		if t == "integer" {
			what = "whole number"
		}
		if f, ok := v.format(); ok {
			what = f.what
		}
		return what + v.bounds()
	case "string":
		if s := v.text(); s != "" {
			return s
		}
		return "text"
	case "array":
		return v.list(depth)
	case "object":
		return "mapping" + between(v, "minProperties", "maxProperties", " of ", "entry", "entries")
	case "boolean":
		return "true or false"
	}
	return typeWords[t]
}

func (v view) format() (format, bool) {
	name, _ := v.word("format")
	s, _ := name.(string)
	return formatNamed(s)
}

// text is what is said of a text beyond its type.
func (v view) text() string {
	what := ""
	f, known := v.format()
	if known {
		what = f.what
	}
	size := between(v, "minLength", "maxLength", " of ", "character", "characters")
	pattern, _ := v.word("pattern")
	s, _ := pattern.(string)
	switch {
	case what == "" && size == "" && s == "":
		return ""
	case what == "":
		what = "text"
	}
	what += size
	if s != "" {
		what += " of the form " + s
	}
	if known && f.example != "" && s == "" {
		what += ", such as " + f.example
	}
	return what
}

func (v view) list(depth int) string {
	out := "list" + between(v, "minItems", "maxItems", " of ", "item", "items")
	for _, part := range v.parts() {
		if items, ok := part.below("items"); ok {
			if s := items.termsAt(depth + 1); s != "" {
				out += ", each " + s
			}
			break
		}
	}
	if unique, _ := v.word("uniqueItems"); unique == true {
		out += ", without duplicates"
	}
	return out
}

func (v view) bounds() string {
	low, hasLow := v.word("minimum")
	high, hasHigh := v.word("maximum")
	above, hasAbove := v.word("exclusiveMinimum")
	under, hasUnder := v.word("exclusiveMaximum")
	out := ""
	switch {
	case hasLow && hasHigh:
		out = " from " + show(low) + " to " + show(high)
	case hasLow:
		out = ", at least " + show(low)
	case hasHigh:
		out = ", at most " + show(high)
	}
	if hasAbove {
		out += ", more than " + show(above)
	}
	if hasUnder {
		out += ", less than " + show(under)
	}
	if step, ok := v.word("multipleOf"); ok {
		out += ", a multiple of " + show(step)
	}
	return out
}

func between(v view, low, high, before, one, many string) string {
	l, hasLow := v.word(low)
	h, hasHigh := v.word(high)
	noun := func(n any) string {
		if reflect.DeepEqual(n, int64(1)) {
			return one
		}
		return many
	}
	switch {
	case hasLow && hasHigh && reflect.DeepEqual(l, h):
		return before + show(l) + " " + noun(l)
	case hasLow && hasHigh:
		return before + show(l) + " to " + show(h) + " " + noun(h)
	case hasLow:
		return before + "at least " + show(l) + " " + noun(l)
	case hasHigh:
		return before + "at most " + show(h) + " " + noun(h)
	}
	return ""
}

// example gives a value to start from, if the schema has one: its own examples, the first allowed value, or what the
// format is known by.
func (v view) example() (any, bool) {
	if list, ok := v.word("examples"); ok {
		if values, ok := list.([]any); ok && len(values) > 0 {
			return values[0], true
		}
	}
	if value, ok := v.word("const"); ok {
		return value, true
	}
	if list, ok := v.word("enum"); ok {
		if values, ok := list.([]any); ok && len(values) > 0 {
			return values[0], true
		}
	}
	if f, ok := v.format(); ok && f.example != "" && !slices.Contains(v.types(), "integer") {
		return f.example, true
	}
	return nil, false
}

// only gives the value when there is no choice.
func (v view) only() (any, bool) {
	if value, ok := v.word("const"); ok {
		return value, value != nil
	}
	if list, ok := v.word("enum"); ok {
		if values, ok := list.([]any); ok && len(values) == 1 {
			return values[0], values[0] != nil
		}
	}
	return nil, false
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
