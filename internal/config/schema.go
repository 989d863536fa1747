package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// schema is a bundle's JSON Schema of its parameters, compiled once.
type schema struct {
	compiled *jsonschema.Schema
	// raw is the schema with its objects closed; its descriptions, defaults and remedies make the messages.
	raw map[string]any
}

// schemaURL is the schema's name for the library. Nothing is ever loaded from it, or from any other.
const schemaURL = "bundle:///parameters"

// noLoader refuses every reference to another document: a bundle is complete, and what was valid when it was published
// must not depend on what a server says today.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("references to other documents are not allowed: %s", url)
}

func newCompiler(raw map[string]any) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.AssertFormat()
	for name, f := range formats {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: f.validate})
	}
	for name, f := range namedFormats(raw) {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: f.validate})
	}
	return c
}

// compile compiles a schema as decoded JSON, and its subschema at pointer.
func compile(raw map[string]any, pointers ...string) (compiled []*jsonschema.Schema, err error) {
	// The library panics on a few malformed schemas instead of refusing them.
	defer func() {
		if p := recover(); p != nil {
			compiled, err = nil, fmt.Errorf("%v", p)
		}
	}()
	c := newCompiler(raw)
	if err := c.AddResource(schemaURL, raw); err != nil {
		return nil, err
	}
	for _, pointer := range pointers {
		s, err := c.Compile(schemaURL + "#" + pointer)
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, s)
	}
	return compiled, nil
}

// newSchema compiles a schema that comes as decoded JSON.
func newSchema(raw map[string]any) (*schema, error) {
	closed := closeObjects(raw)
	if _, ok := closed["type"]; !ok {
		closed["type"] = "object"
	}
	compiled, err := compile(closed, "")
	if err != nil {
		return nil, err
	}
	return &schema{compiled[0], closed}, nil
}

// emptySchema is that of a bundle without parameters.
func emptySchema() (map[string]any, *schema) {
	raw := map[string]any{"type": "object", "properties": map[string]any{}}
	s, err := newSchema(raw)
	if err != nil {
		panic("config: the schema without parameters does not compile: " + err.Error())
	}
	return raw, s
}

// closeObjects gives a copy of a schema in which every object that lists its properties refuses others, unless it says
// itself what it does with them. JSON Schema lets them pass, and then a mistyped parameter does nothing. The copy is
// not closed below allOf, if and the like: those see only a part of an object's properties.
func closeObjects(raw map[string]any) map[string]any {
	out := make(map[string]any, len(raw)+1)
	for keyword, v := range raw {
		out[keyword] = v
		switch keyword {
		case "properties":
			if properties, ok := v.(map[string]any); ok {
				closed := make(map[string]any, len(properties))
				for name, v := range properties {
					closed[name] = closeValue(v)
				}
				out[keyword] = closed
			}
		case "items", "additionalProperties":
			out[keyword] = closeValue(v)
		}
	}
	_, lists := raw["properties"]
	_, additional := raw["additionalProperties"]
	_, unevaluated := raw["unevaluatedProperties"]
	if lists && !additional && !unevaluated {
		out["unevaluatedProperties"] = false
	}
	return out
}

func closeValue(v any) any {
	if raw, ok := v.(map[string]any); ok {
		return closeObjects(raw)
	}
	return v
}

// at gives the part of the schema that a location of the library names, nil if there is none.
func (s *schema) at(location string) map[string]any {
	v, _ := lookup(s.raw, location)
	m, _ := v.(map[string]any)
	return m
}

// lookup follows a JSON pointer, the part of location after the #.
func lookup(raw map[string]any, location string) (any, bool) {
	var v any = raw
	for _, token := range pointerTokens(location) {
		switch below := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = below[token]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(below) {
				return nil, false
			}
			v = below[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func pointerTokens(location string) []string {
	_, pointer, _ := strings.Cut(location, "#")
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range tokens {
		if plain, err := url.PathUnescape(t); err == nil {
			t = plain
		}
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
	}
	return tokens
}

func pointerTo(pointer, token string) string {
	return pointer + "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
}

// schema reads the schema of the parameters and reports what is wrong with it.
func (c cursor) schema() (map[string]any, *schema) {
	v, ok := c.data()
	raw, isMapping := v.(map[string]any)
	if !c.isMapping() || !ok || !isMapping {
		return nil, nil
	}
	r := schemaReader{raw: raw}
	if t, ok := raw["type"]; ok && t != "object" {
		valueOf(c, "type").fail("the parameters are a mapping, so the type here must be object", "write type: object, or leave it out")
		return nil, nil
	}
	before := len(c.problems)
	r.read(c, "", true)
	if c.problems[before:].Err() != nil {
		return nil, nil
	}
	s, err := newSchema(raw)
	if err != nil {
		c.explainCompile(err, raw)
		return nil, nil
	}
	r.checkDefaults(s)
	return raw, s
}

// explainCompile reports why the library refused the schema; most likely a keyword has a value of the wrong kind.
func (c cursor) explainCompile(err error, raw map[string]any) {
	var invalid *jsonschema.SchemaValidationError
	var validation *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &validation) {
		e := explainer{cursor: c, value: raw, schema: &schema{}}
		e.explain(validation)
		return
	}
	message := strings.ReplaceAll(err.Error(), schemaURL, "")
	c.failKey("the schema cannot be used: "+message, "correct it after JSON Schema 2020-12; references have the form #/$defs/name")
}

// schemaReader looks through a schema for what the library accepts but what would never work, with positions.
type schemaReader struct {
	raw      map[string]any
	defaults []schemaDefault
}

// schemaDefault is a default in the schema, and where.
type schemaDefault struct {
	c       cursor
	pointer string
}

// The keywords that hold schemas, by the form in which they do.
var (
	schemaMaps   = []string{"properties", "patternProperties", "$defs", "dependentSchemas"}
	schemaLists  = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	schemaValues = []string{"items", "contains", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames", "not", "if", "then", "else"}
	// filledBelow are those through which defaults are filled in.
	filledBelow = []string{"properties", "$defs", "allOf", "prefixItems", "items", "additionalProperties"}
	plainWords  = strings.Fields(`
		$schema $ref $anchor $dynamicRef $dynamicAnchor $comment type enum const
		multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern
		maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required dependentRequired
		title description default deprecated readOnly writeOnly examples format
	`)
	keywords = slices.Concat(schemaMaps, schemaLists, schemaValues, plainWords)
)

// read reads a schema; filled says whether a default in it would be filled in.
func (r *schemaReader) read(c cursor, pointer string, filled bool) {
	if c.node.Kind != yaml.MappingNode {
		return // true, false, or something that the meta-schema refuses
	}
	c.named(func(keyword string, c cursor) {
		below := pointerTo(pointer, keyword)
		descend := filled && slices.Contains(filledBelow, keyword)
		switch {
		case strings.HasPrefix(keyword, "x-"):
		case !slices.Contains(keywords, keyword):
			c.failKey("unknown or unsupported keyword"+suggestion(keyword, keywords), "write a keyword of JSON Schema 2020-12, or begin its name with x- if it is a note of your own")
		case slices.Contains(schemaMaps, keyword) && c.node.Kind == yaml.MappingNode:
			c.named(func(name string, c cursor) {
				if keyword == "patternProperties" {
					checkPattern(c, name, c.at)
				}
				r.read(c, pointerTo(below, name), descend)
			})
		case slices.Contains(schemaLists, keyword) && c.node.Kind == yaml.SequenceNode:
			c.items(func(i int, c cursor) { r.read(c, pointerTo(below, strconv.Itoa(i)), descend) })
		case slices.Contains(schemaValues, keyword):
			r.read(c, below, descend)
		default:
			// The top's own default is not: there is always a mapping, if an empty one.
			r.readWord(keyword, c, pointer, filled && pointer != "")
		}
	})
}

func (r *schemaReader) readWord(keyword string, c cursor, pointer string, filled bool) {
	text := ""
	if c.node.Kind == yaml.ScalarNode && isText(c.node) {
		text = c.node.Value
	}
	switch keyword {
	case "$schema":
		if strings.TrimSuffix(text, "#") != "https://json-schema.org/draft/2020-12/schema" {
			c.fail("the schema must be JSON Schema 2020-12, found "+describe(c.node), "leave $schema out")
		}
	case "$ref", "$dynamicRef":
		if text != "" && !strings.HasPrefix(text, "#") {
			c.fail("the reference "+quote(text)+" leads out of the bundle's schema; nothing is ever loaded", "put what it refers to into $defs, and refer to it with #/$defs/name")
		} else if _, ok := lookup(r.raw, text); strings.HasPrefix(text, "#/") && !ok {
			c.fail("the reference "+quote(text)+" leads to nothing", "define it in $defs of the parameters, or correct the reference, which has the form #/$defs/name")
		}
	case "type":
		if text != "" && typeWords[text] == "" {
			types := slices.Sorted(maps.Keys(typeWords))
			c.fail("unknown type "+quote(text)+suggestion(text, types), "the types are "+join(types, "and"))
		}
	case "format":
		if text == "" {
			return
		}
		if _, known := formatNamed(text); !known {
			c.fail("unknown format "+quote(text)+suggestion(text, formatNames), "the formats are "+join(formatNames, "and"))
		}
	case "pattern":
		if text != "" {
			checkPattern(c, text, c.node)
		}
	case "default":
		r.defaults = append(r.defaults, schemaDefault{c, pointer})
		if !filled {
			c.warn("this default is never filled in", "move it to the parameter itself below properties; defaults below if, oneOf and the like are only read by people")
		}
	}
}

// checkPattern checks a regular expression; at is where it stands.
func checkPattern(c cursor, pattern string, at *yaml.Node) {
	if _, err := regexp.Compile(pattern); err != nil {
		c.failAt(at, quote(pattern)+" is not a regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "correct it; the syntax is Go's, which has no look-around and no back-references")
	}
}
