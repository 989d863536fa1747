package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Masked stands for the value of a secret parameter wherever one would be shown.
const Masked = "•••"

// schemaText is a bundle's schema with its text. It answers what the schema says about a parameter; whether a value
// fits is for schema.
type schemaText struct {
	raw  map[string]any
	node *yaml.Node
}

func (b *BundleText) parametersText() *schemaText {
	_, node := childNode(b.top, "parameters")
	return &schemaText{b.Schema, node}
}

func (s *schemaText) top() view { return view{s, s.raw, s.node, s.node} }

// view is one part of a schema with its place.
type view struct {
	in  *schemaText
	raw map[string]any
	// key is the node that names the part. It is nil where the text is not known, as is node.
	key, node *yaml.Node
}

// below gives the schema at a keyword, or at one of the names under it.
func (v view) below(way ...string) (view, bool) {
	var raw any = v.raw
	key, node := v.key, v.node
	for _, token := range way {
		switch at := raw.(type) {
		case map[string]any:
			raw = at[token]
			key, node = childNode(node, token)
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(at) {
				return view{}, false
			}
			raw = at[i]
			if node == nil || node.Kind != yaml.SequenceNode || i >= len(node.Content) {
				key, node = nil, nil
			} else {
				key, node = node.Content[i], node.Content[i]
			}
		}
	}
	m, ok := raw.(map[string]any)
	return view{v.in, m, key, node}, ok
}

// referred gives what $ref names inside of the bundle.
func (v view) referred() (view, bool) {
	ref, ok := v.raw["$ref"].(string)
	if !ok {
		ref, ok = v.raw["$dynamicRef"].(string)
	}
	switch {
	case !ok:
		return view{}, false
	case ref == "#" || strings.HasPrefix(ref, "#/"):
		return v.in.top().below(pointerTokens(ref)...)
	}
	return v.in.top().anchored(strings.TrimPrefix(ref, "#"))
}

// anchored finds the part that calls itself by a name.
func (v view) anchored(name string) (view, bool) {
	if v.raw["$anchor"] == name || v.raw["$dynamicAnchor"] == name {
		return v, true
	}
	for _, keyword := range sortedKeys(v.raw) {
		switch below := v.raw[keyword].(type) {
		case map[string]any:
			next, _ := v.below(keyword)
			if found, ok := next.anchored(name); ok {
				return found, true
			}
		case []any:
			for i := range below {
				if next, ok := v.below(keyword, strconv.Itoa(i)); ok {
					if found, ok := next.anchored(name); ok {
						return found, true
					}
				}
			}
		}
	}
	return view{}, false
}

// parts are the schemas that say something about the same value for certain: this one, what it refers to, and those of
// allOf. The nearest comes first.
func (v view) parts() []view { return v.spread(false) }

// branches are also those that may say something: under conditions and in alternatives.
func (v view) branches() []view { return v.spread(true) }

func (v view) spread(maybe bool) []view {
	var all []view
	var add func(v view)
	add = func(v view) {
		// A schema may refer to itself. Maps have no other identity than what they hold, and the same map twice
		// says nothing new.
		if len(all) > maxParts || slices.ContainsFunc(all, func(o view) bool { return sameMap(o.raw, v.raw) }) {
			return
		}
		all = append(all, v)
		if next, ok := v.referred(); ok {
			add(next)
		}
		for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
			list, _ := v.raw[keyword].([]any)
			for i := range list {
				if next, ok := v.below(keyword, strconv.Itoa(i)); ok && (maybe || keyword == "allOf") {
					add(next)
				}
			}
		}
		if !maybe {
			return
		}
		for _, keyword := range []string{"if", "then", "else", "not"} {
			if next, ok := v.below(keyword); ok {
				add(next)
			}
		}
		dependent, _ := v.raw["dependentSchemas"].(map[string]any)
		for _, name := range sortedKeys(dependent) {
			if next, ok := v.below("dependentSchemas", name); ok {
				add(next)
			}
		}
	}
	add(v)
	return all
}

// maxParts bounds what a schema that is made to be slow can ask for.
const maxParts = 1000

// sameMap compares two schemas as values, which costs little: nearly all differ in their first keyword.
func sameMap(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	return equal(a, b)
}

// properties are the names that the value has for certain, in the publisher's order.
func (v view) properties() []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, part := range v.parts() {
		properties, _ := part.raw["properties"].(map[string]any)
		if _, node := childNode(part.node, "properties"); node != nil {
			for i := 0; i+1 < len(node.Content); i += 2 {
				add(node.Content[i].Value)
			}
			continue
		}
		for _, name := range sortedKeys(properties) {
			add(name)
		}
	}
	return names
}

// property gives the schema of a property, also one that only branches know.
func (v view) property(name string) (view, bool) {
	for _, part := range append(v.parts(), v.branches()...) {
		if found, ok := part.below("properties", name); ok {
			return found, true
		}
	}
	for _, part := range v.parts() {
		for _, pattern := range sortedKeys(asMap(part.raw["patternProperties"])) {
			if re, err := regexp.Compile(pattern); err == nil && re.MatchString(name) {
				if found, ok := part.below("patternProperties", pattern); ok {
					return found, true
				}
			}
		}
		if found, ok := part.below("additionalProperties"); ok {
			return found, true
		}
	}
	return view{}, false
}

// requires says whether a property is required in any case.
func (v view) requires(name string) bool {
	for _, part := range v.parts() {
		if list, ok := part.raw["required"].([]any); ok && slices.Contains(list, any(name)) {
			return true
		}
	}
	return false
}

// word gives a keyword from the nearest part that has it.
func (v view) word(keyword string) (any, bool) {
	for _, part := range v.parts() {
		if value, ok := part.raw[keyword]; ok {
			return value, true
		}
	}
	return nil, false
}

// fallback gives the default and the node that it stands in. Those of allOf are not filled in for the value itself.
func (v view) fallback() (value any, node *yaml.Node, ok bool) {
	for range maxDepth {
		if value, ok = v.raw["default"]; ok {
			_, node = childNode(v.node, "default")
			return value, node, value != nil
		}
		next, more := v.referred()
		if !more {
			break
		}
		v = next
	}
	return nil, nil, false
}

// description is the publisher's text in one line.
func (v view) description() string {
	for _, keyword := range []string{"description", "title"} {
		if text, ok := v.word(keyword); ok {
			if s, ok := text.(string); ok {
				return strings.Join(strings.Fields(s), " ")
			}
		}
	}
	return ""
}

// secret says whether the value must not be shown.
func (v view) secret() bool {
	for _, part := range v.branches() {
		if part.raw["writeOnly"] == true {
			return true
		}
	}
	return false
}

// holdsSecret says whether the value or anything in it may be secret.
func (v view) holdsSecret() bool {
	var search func(raw any, depth int) bool
	search = func(raw any, depth int) bool {
		if depth > maxDepth {
			return false
		}
		switch raw := raw.(type) {
		case map[string]any:
			if raw["writeOnly"] == true {
				return true
			}
			if next, ok := (view{in: v.in, raw: raw}).referred(); ok && search(next.raw, depth+maxDepth/4) {
				return true
			}
			for _, below := range raw {
				if search(below, depth+1) {
					return true
				}
			}
		case []any:
			return slices.ContainsFunc(raw, func(below any) bool { return search(below, depth+1) })
		}
		return false
	}
	return slices.ContainsFunc(v.branches(), func(v view) bool { return search(v.raw, 0) })
}

// MaskAt masks what is secret in a parameter; way leads to it.
func (b *BundleText) MaskAt(way []string, value any) any {
	if value == nil {
		return nil
	}
	all := []view{b.parametersText().top()}
	for _, name := range way {
		if anySecret(all) {
			return Masked
		}
		all = children(all, name, false)
	}
	return maskBelow(all, value)
}

// children gives every schema that may apply to an entry or item. One too many only hides more.
func children(all []view, token string, isItem bool) []view {
	var out []view
	take := func(v view, ok bool) {
		if ok {
			out = append(out, v)
		}
	}
	for _, v := range all {
		for _, v := range v.branches() {
			if isItem {
				take(v.below("prefixItems", token))
				take(v.below("items"))
				take(v.below("contains"))
				take(v.below("unevaluatedItems"))
				continue
			}
			take(v.below("properties", token))
			take(v.below("additionalProperties"))
			take(v.below("unevaluatedProperties"))
			for _, pattern := range sortedKeys(asMap(v.raw["patternProperties"])) {
				if re, err := regexp.Compile(pattern); err == nil && re.MatchString(token) {
					take(v.below("patternProperties", pattern))
				}
			}
		}
	}
	return out
}

func anySecret(all []view) bool { return slices.ContainsFunc(all, view.secret) }

// maskBelow gives a copy of a value with every secret in it masked. all are the schemas that may apply to it.
func maskBelow(all []view, value any) any {
	return concealBelow(all, value, nil, func(string) any { return Masked })
}

// concealBelow gives a copy of a value with something else for every secret in it.
func concealBelow(all []view, value any, way *trail, with func(key string) any) any {
	if value == nil {
		return nil
	}
	if anySecret(all) {
		return with(way.String())
	}
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for name, v := range value {
			out[name] = concealBelow(children(all, name, false), v, way.key(name), with)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, v := range value {
			out[i] = concealBelow(children(all, strconv.Itoa(i), true), v, way.item(i), with)
		}
		return out
	}
	return value
}

// eachSecret finds the secrets in a file, and what the schema does not declare: a secret's name may be mistyped.
func (s *schemaText) eachSecret(n *yaml.Node, way *trail, found func(n *yaml.Node, way *trail, declared bool)) {
	var walk func(all []view, n *yaml.Node, way *trail)
	walk = func(all []view, n *yaml.Node, way *trail) {
		if anySecret(all) {
			found(n, way, true)
			return
		}
		for i := range n.Content {
			switch n.Kind {
			case yaml.MappingNode:
				if i%2 == 0 {
					name := n.Content[i].Value
					below := children(all, name, false)
					if len(below) == 0 && listsProperties(all) {
						found(n.Content[i+1], way.key(name), false)
						continue
					}
					walk(below, n.Content[i+1], way.key(name))
				}
			case yaml.SequenceNode:
				walk(children(all, strconv.Itoa(i), true), n.Content[i], way.item(i))
			}
		}
	}
	walk([]view{s.top()}, n, way)
}

func listsProperties(all []view) bool {
	return slices.ContainsFunc(all, func(v view) bool {
		return slices.ContainsFunc(v.branches(), func(v view) bool { return v.raw["properties"] != nil })
	})
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
