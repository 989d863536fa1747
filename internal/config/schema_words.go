package config

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"gopkg.in/yaml.v3"
)

// got says what stands there, after "must be ..., ".
func (e explainer) got(s spot) string {
	switch {
	case s.inFile && !e.isDefault:
		return "got " + describe(s.node)
	default:
		return "the default is " + show(s.value)
	}
}

// show gives a decoded value as one would write it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		if plainKey.MatchString(v) && v != "true" && v != "false" && v != "null" && !decimal.MatchString(v) {
			return v
		}
		return quote(v)
	case nil:
		return "null"
	case *big.Rat:
		if v.IsInt() {
			return v.Num().String()
		}
		f, _ := v.Float64()
		return strconv.FormatFloat(f, 'g', -1, 64)
	case map[string]any, []any:
		out, err := json.Marshal(v)
		if err != nil || len(out) > quotedLength {
			return "a long value"
		}
		return string(out)
	default:
		return fmt.Sprint(v)
	}
}

func shown[T any](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = show(v)
	}
	return out
}

var typeWords = map[string]string{
	"null": "nothing", "boolean": "true or false", "number": "a number", "integer": "a whole number",
	"string": "text", "array": "a list", "object": "a mapping",
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func shownFormat(v any) string {
	if s, ok := v.(string); ok {
		return quote(s)
	}
	return show(v)
}

// typeRemedy knows the slips of YAML: quotes that make text of a number, and quotes that are missing.
func typeRemedy(k *kind.Type, s spot) string {
	if s.inFile && len(k.Want) == 1 && s.node.Kind == yaml.ScalarNode {
		switch want := k.Want[0]; {
		case want == "string" && s.node.Tag != "!!null":
			return "put it in quotes: " + strconv.Quote(s.node.Value)
		case (want == "integer" || want == "number") && isText(s.node) && decimal.MatchString(s.node.Value):
			return "write it without quotes: " + s.node.Value
		case want == "array":
			return "write a list, such as [" + printable(s.node.Value) + "]"
		}
	}
	words := map[string]string{"object": "write key: value, one a line, indented below the key", "array": "write a list, such as [a, b]", "boolean": "write true or false, without quotes"}
	if len(k.Want) == 1 && words[k.Want[0]] != "" {
		return words[k.Want[0]]
	}
	want := make([]string, len(k.Want))
	for i, w := range k.Want {
		want[i] = typeWords[w]
	}
	return "write " + choice(want)
}

// boundsOf says between which numbers a value must be, and how to get there. Both ends are told although only one was
// missed.
func boundsOf(raw map[string]any, k jsonschema.ErrorKind) (bounds, remedy string) {
	low, hasLow := raw["minimum"]
	high, hasHigh := raw["maximum"]
	switch k := k.(type) {
	case *kind.ExclusiveMinimum:
		bounds = "more than " + show(k.Want)
	case *kind.ExclusiveMaximum:
		bounds = "less than " + show(k.Want)
	default:
		switch {
		case hasLow && hasHigh:
			return "between " + show(low) + " and " + show(high), "write a number from " + show(low) + " to " + show(high)
		case hasLow:
			bounds = "at least " + show(low)
		default:
			bounds = "at most " + show(high)
		}
	}
	return bounds, "write a number that is " + bounds
}

// exampleOf gives an example from the schema, or its default, or the fallback.
func exampleOf(raw map[string]any, fallback string) string {
	if examples, ok := raw["examples"].([]any); ok && len(examples) > 0 {
		return ", such as " + choice(shown(examples))
	}
	if v, ok := raw["default"]; ok {
		return ", such as " + show(v)
	}
	if fallback != "" {
		return ", such as " + fallback
	}
	return ""
}

// remedy gives the x-remedy of the first schema that has one; else what can be said in general, with what the schemas
// say about the value.
func (e explainer) remedy(general string, schemas ...map[string]any) string {
	for _, s := range schemas {
		if own, ok := s["x-remedy"].(string); ok && strings.TrimSpace(own) != "" {
			return own
		}
	}
	if v, ok := schemas[0]["default"]; ok && !e.isDefault {
		general += ", or leave it out for the default " + show(v)
	}
	for _, s := range schemas {
		if d, ok := s["description"].(string); ok && strings.TrimSpace(d) != "" {
			return general + ". " + strings.Join(strings.Fields(d), " ")
		}
	}
	return general
}
