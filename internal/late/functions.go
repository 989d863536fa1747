package late

import (
	"math"
	"strconv"
	"strings"
)

// Functions gives the encoders for templates. A late value remembers the encoder and is encoded on the host; text,
// numbers and truth values are encoded at once, and json and yaml also take lists and maps.
//
// The template language's own functions (eq, len, printf and the others) are not here: package render keeps them as
// they are and checks what a template hands to them.
func (s *Space) Functions() map[string]any {
	functions := make(map[string]any, len(encoders))
	for _, e := range encoders {
		functions[e.name] = func(v any) (any, error) { return s.encode(e, v) }
	}
	return functions
}

func (s *Space) encode(e encoder, v any) (any, error) {
	if late, ok := v.(Value); ok {
		return late.encoded(e.name)
	}
	if ref, found := s.FindWithin(v); found {
		example := "{{ ." + ref + " | " + e.name + " }}"
		if role, _, indexed := strings.Cut(ref, "["); indexed {
			example = "{{ range ." + role + " }}{{ .Name | " + e.name + " }}{{ end }}"
		}
		return nil, &Error{
			Message: e.name + " takes one late value; this holds ." + ref + " and more",
			Remedy:  "encode each value by itself, as in " + example,
		}
	}
	if e.name == "json" || e.name == "yaml" {
		text, err := structure(nil, v, e)
		return string(text), err
	}
	text, ok := scalar(v)
	if !ok {
		return nil, &Error{e.name + " takes text, a number or true and false, not " + kind(v), "encode each value by itself, inside of {{ range }}"}
	}
	return Encode(text, []string{e.name})
}

func (v Value) encoded(name string) (Value, error) {
	if name == "urlhost" && v.secret() {
		return Value{}, &Error{"." + v.ref + " is no address, and urlhost would print it as it is", "use | url for a part of a URL, or | raw to print it as it is"}
	}
	if len(chain(v.encode)) >= maxChain {
		return Value{}, &Error{"too many encoders follow ." + v.ref, "use at most " + strconv.Itoa(maxChain)}
	}
	if v.encode != "" {
		name = v.encode + " " + name
	}
	v.encode = name
	return v, nil
}

// structure writes a value as JSON, with the text inside quoted by the encoder: JSON is YAML, too.
func structure(b []byte, v any, e encoder) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		text, err := e.encode(v)
		return append(b, text...), err
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = structure(b, item, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, key := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			text, err := e.encode(key)
			if err != nil {
				return nil, err
			}
			b = append(append(b, text...), ':')
			if e.name == "yaml" {
				b = append(b, ' ')
			}
			if b, err = structure(b, v[key], e); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	text, ok := scalar(v)
	if !ok {
		return nil, &Error{e.name + " cannot encode " + kind(v), "use text, numbers, lists and maps"}
	}
	return append(b, text...), nil
}

// scalar gives text, a number or a truth value as a template would print it, but never with an exponent.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'f', -1, 64), true
		}
	}
	return "", false
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "this kind of value"
}
