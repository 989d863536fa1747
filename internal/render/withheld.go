package render

import (
	"fmt"
	"maps"
	"slices"
)

// withheld stands in .Param for a value that no template may see. It has neither methods nor exported fields, which a
// template could name.
type withheld struct{ key string }

// Withhold gives what is to stand in Context.Param for the parameter of that key: what a template makes is in an artifact,
// which everybody can read. Whatever uses it is an error. Only rules are given such a value itself.
func Withhold(key string) any { return withheld{key} }

// withheldError is the error of a template that uses such a value.
type withheldError struct {
	withheld
	use string
}

func (e withheldError) Error() string {
	return fmt.Sprintf("%s is writeOnly in the bundle, so it cannot be used in %s: what a template makes can be read by everybody", e.key, e.use)
}

const withheldRemedy = "declare it under secrets in bundle.yaml instead and write {{ .Secret.name | json }}: then only hosts get the value"

// withheldIn finds one in a value.
func withheldIn(v any) (withheld, bool) {
	switch v := v.(type) {
	case withheld:
		return v, true
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if w, found := withheldIn(v[name]); found {
				return w, true
			}
		}
	case []any:
		for _, below := range v {
			if w, found := withheldIn(below); found {
				return w, true
			}
		}
	}
	return withheld{}, false
}
