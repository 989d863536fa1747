package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"gopkg.in/yaml.v3"
)

// explainer turns the schema library's findings into problems: at the place in the file, in our words, with a remedy
// made from the schema.
type explainer struct {
	// cursor is where the value stands; its node is nil when the file has none.
	cursor
	value  any
	schema *schema
	// parameters says that the keys are parameters' names, isDefault that the value is a default of the schema.
	parameters, isDefault bool
}

// validate checks the value and reports what is wrong.
func (e explainer) validate(s *jsonschema.Schema) {
	var found *jsonschema.ValidationError
	if err := s.Validate(e.value); errors.As(err, &found) {
		e.explain(found)
	}
}

// explain reports an error with everything below it, each problem once.
func (e explainer) explain(err *jsonschema.ValidationError) {
	all := e.report
	e.report = &report{file: all.file, lines: all.lines}
	e.descend(err, nil)
	problems := e.sorted()
	// An unknown key that only looks unknown because a condition failed stands beside the reason.
	real := slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Message == notAllowedHere })
	if len(real) > 0 {
		problems = real
	}
	for _, p := range slices.Compact(problems) {
		all.add(p)
	}
}

// descend goes to the leaves. around are the schemas that refer to this one, the outermost first.
func (e explainer) descend(err *jsonschema.ValidationError, around []string) {
	switch err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf:
		for _, cause := range err.Causes {
			e.descend(cause, around)
		}
	case *kind.Reference:
		around = append(slices.Clip(around), err.SchemaURL)
		for _, cause := range err.Causes {
			e.descend(cause, around)
		}
	case *kind.AnyOf, *kind.OneOf:
		e.alternatives(err, around)
	default:
		e.leaf(err, around)
	}
}

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

// notAllowedHere is the message for a parameter that exists, but not together with the others.
const notAllowedHere = "is not allowed together with the other values"

var typeWords = map[string]string{
	"null": "nothing", "boolean": "true or false", "number": "a number", "integer": "a whole number",
	"string": "text", "array": "a list", "object": "a mapping",
}

// leaf reports one finding. The cases follow the keywords of JSON Schema.
func (e explainer) leaf(err *jsonschema.ValidationError, around []string) {
	s := e.locate(err.InstanceLocation)
	raw := e.schema.at(err.SchemaURL)
	schemas := e.schemas(err, around)
	property := func(name string) []map[string]any {
		return []map[string]any{propertyOf(raw, name), e.declared(append(slices.Clip(err.InstanceLocation), name))}
	}
	fail := func(message, remedy string) { s.fail(message, e.remedy(remedy, schemas...)) }
	found := e.got(s)
	switch k := err.ErrorKind.(type) {
	case *kind.Type:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = typeWords[w]
		}
		fail("must be "+choice(want)+", "+found, typeRemedy(k, s))
	case *kind.Enum:
		e.enum(s, k, found, fail)
	case *kind.Const:
		fail("must be "+show(k.Want)+", "+found, "write "+show(k.Want))
	case *kind.Format:
		f, _ := formatNamed(k.Want)
		fail(shownFormat(k.Got)+" is not "+cmp.Or(f.what, "of the format "+k.Want)+mistake(k), "write "+cmp.Or(f.what, "a value of the format "+k.Want)+exampleOf(raw, f.example))
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum:
		bounds, remedy := boundsOf(raw, k)
		fail("must be "+bounds+", "+strings.Replace(found, "got the number", "found", 1), remedy)
	case *kind.MultipleOf:
		fail("must be a multiple of "+show(k.Want)+", "+strings.Replace(found, "got the number", "found", 1), "write a multiple of "+show(k.Want))
	case *kind.MinLength:
		fail(fmt.Sprintf("must have at least %s, has %d", count(k.Want, "character"), k.Got), "write a longer text")
	case *kind.MaxLength:
		fail(fmt.Sprintf("must have at most %s, has %d", count(k.Want, "character"), k.Got), "write a shorter text")
	case *kind.Pattern:
		fail(quote(k.Got)+" does not have the required form", "write it in the form "+k.Want+exampleOf(raw, ""))
	case *kind.Required:
		for _, name := range k.Missing {
			s.missing(name, "is required", e.remedy("set "+s.way.key(name).String(), property(name)...))
		}
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			s.missing(name, "is required because "+s.way.key(k.Prop).String()+" is set", e.remedy("set it, or remove "+k.Prop, property(name)...))
		}
	case *kind.AdditionalProperties:
		for _, name := range slices.Sorted(slices.Values(k.Properties)) {
			e.unknown(err.InstanceLocation, name, e.namesIn(err.SchemaURL))
		}
	case *kind.FalseSchema:
		e.refused(err, s)
	case *kind.PropertyNames:
		e.locate(e.locationOfName(err.InstanceLocation, k.Property)).failKey(quote(k.Property)+" is not allowed as a name here"+e.because(err), e.remedy("choose another name", schemas...))
	case *kind.MinProperties:
		fail(fmt.Sprintf("must have at least %s, has %d", entries(k.Want), k.Got), "add entries")
	case *kind.MaxProperties:
		fail(fmt.Sprintf("must have at most %s, has %d", entries(k.Want), k.Got), "remove entries")
	case *kind.MinItems:
		fail(fmt.Sprintf("must have at least %s, has %d", count(k.Want, "item"), k.Got), "add items to the list")
	case *kind.MaxItems:
		fail(fmt.Sprintf("must have at most %s, has %d", count(k.Want, "item"), k.Got), "remove items from the list")
	case *kind.UniqueItems:
		first := e.locate(append(slices.Clip(err.InstanceLocation), strconv.Itoa(k.Duplicates[0])))
		second := e.locate(append(slices.Clip(err.InstanceLocation), strconv.Itoa(k.Duplicates[1])))
		second.fail(fmt.Sprintf("the list cannot contain duplicates: %s is there already, in line %d", show(second.value), first.line()), e.remedy("remove one of the two", schemas...))
	case *kind.Contains:
		fail("must contain an item of the required kind, has none", "add such an item")
	case *kind.MinContains:
		fail(fmt.Sprintf("must contain at least %d items of the required kind, has %d", k.Want, len(k.Got)), "add such items")
	case *kind.MaxContains:
		fail(fmt.Sprintf("must contain at most %d items of the required kind, has %d", k.Want, len(k.Got)), "remove such items")
	case *kind.Not:
		fail("is not allowed with this value", "choose another value")
	case *kind.RefCycle:
		fail("the schema refers to itself without end", "correct the bundle's parameters")
	default:
		fail(err.ErrorKind.LocalizedString(message.NewPrinter(language.English)), "correct the value")
	}
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

// fewChoices is up to how many allowed values a message lists.
const fewChoices = 12

func (e explainer) enum(s spot, k *kind.Enum, found string, fail func(message, remedy string)) {
	words := shown(k.Want)
	near := ""
	if text, ok := s.value.(string); ok {
		near = suggestion(text, words)
	}
	if len(words) > fewChoices {
		fail(fmt.Sprintf("must be one of %d allowed values, %s%s", len(words), found, near), "write one of "+join(words, "and"))
		return
	}
	fail("must be "+choice(words)+", "+found+near, "write "+choice(words))
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
// those that refer to it, and where the value is declared, as under a condition the first is only a part.
func (e explainer) schemas(err *jsonschema.ValidationError, around []string) []map[string]any {
	schemas := []map[string]any{e.schema.at(err.SchemaURL)}
	for _, location := range slices.Backward(around) {
		schemas = append(schemas, e.schema.at(location))
	}
	return append(schemas, e.declared(err.InstanceLocation))
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

// unknown reports a key that no schema has.
func (e explainer) unknown(location []string, name string, known []string) {
	s := e.locate(append(slices.Clip(location), name))
	what := "key"
	if e.parameters && len(location) == 0 {
		what = "parameter"
	}
	remedy := "remove it; the bundle has no parameters"
	switch {
	case len(known) > 0:
		remedy = "the " + what + "s here are " + join(known, "and")
	case len(location) > 0 || !e.parameters:
		remedy = "remove it"
	}
	s.failKey("unknown "+what+suggestion(name, known), remedy)
}

// refused reports a value where the schema is false: an unknown key as a rule, because closed objects are made so.
func (e explainer) refused(err *jsonschema.ValidationError, s spot) {
	parent, closed := strings.CutSuffix(err.SchemaURL, "/unevaluatedProperties")
	if !closed || len(err.InstanceLocation) == 0 {
		s.failKey("is not allowed here", "remove it")
		return
	}
	n := len(err.InstanceLocation) - 1
	name := err.InstanceLocation[n]
	known := e.namesIn(parent)
	if slices.Contains(known, name) {
		s.failKey(notAllowedHere, "remove it, or change the values that it depends on")
		return
	}
	e.unknown(err.InstanceLocation[:n], name, known)
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

// because gives the reasons below an error as text.
func (e explainer) because(err *jsonschema.ValidationError) string {
	var reasons []string
	for _, cause := range err.Causes {
		for _, p := range e.scratch(cause, nil) {
			reasons = append(reasons, p.Message)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, "; ")
}

// scratch explains an error without reporting it.
func (e explainer) scratch(err *jsonschema.ValidationError, around []string) Problems {
	e.report = &report{file: e.file, lines: e.lines}
	e.descend(err, around)
	return slices.Compact(e.sorted())
}

// alternatives reports a value that fits none of several forms, or too many.
func (e explainer) alternatives(err *jsonschema.ValidationError, around []string) {
	s := e.locate(err.InstanceLocation)
	schemas := e.schemas(err, around)
	if k, ok := err.ErrorKind.(*kind.OneOf); ok && len(k.Subschemas) > 0 {
		s.fail(fmt.Sprintf("fits two forms that exclude each other (the %s and the %s)", ordinal(k.Subschemas[0]+1), ordinal(k.Subschemas[1]+1)),
			e.remedy("remove what belongs to one of them", schemas...))
		return
	}
	if only := e.meant(err); only != nil {
		e.descend(only, around)
		return
	}
	if words, at := e.sameSpot(err); words != nil {
		spot := e.locate(at.InstanceLocation)
		spot.fail("must be "+choice(words)+", "+e.got(spot), e.remedy("write "+choice(words), schemas...))
		return
	}
	var forms []string
	for _, cause := range err.Causes {
		var parts []string
		for _, p := range e.scratch(cause, around) {
			if p.Key != s.way.String() {
				parts = append(parts, p.Key+" "+p.Message)
			} else {
				parts = append(parts, p.Message)
			}
		}
		form := strings.Join(parts, " and ")
		if form != "" && !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	s.fail("fits none of the allowed forms: "+strings.Join(forms, "; or "), e.remedy("write it in one of these forms", schemas...))
}

// meant guesses which alternative the writer had in mind: the only one that the value has the right type and the right
// distinguishing constant for. It is nil when that is not clear.
func (e explainer) meant(err *jsonschema.ValidationError) *jsonschema.ValidationError {
	var best *jsonschema.ValidationError
	for _, cause := range err.Causes {
		if misfits(cause, len(err.InstanceLocation)) {
			continue
		}
		if best != nil {
			return nil
		}
		best = cause
	}
	if best == nil && len(err.Causes) == 1 {
		best = err.Causes[0]
	}
	return best
}

// sameSpot finds out whether all alternatives fail for the type or the constant of one and the same value, which then
// is all that there is to say. It gives what the value may be.
func (e explainer) sameSpot(err *jsonschema.ValidationError) (words []string, at *jsonschema.ValidationError) {
	for _, cause := range err.Causes {
		found := firstMisfit(cause, len(err.InstanceLocation))
		if found == nil || at != nil && !slices.Equal(at.InstanceLocation, found.InstanceLocation) {
			return nil, nil
		}
		at = found
		var more []string
		switch k := found.ErrorKind.(type) {
		case *kind.Type:
			for _, w := range k.Want {
				more = append(more, typeWords[w])
			}
		case *kind.Const:
			more = []string{show(k.Want)}
		case *kind.Enum:
			more = shown(k.Want)
		}
		for _, w := range more {
			if !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	return words, at
}

func firstMisfit(err *jsonschema.ValidationError, depth int) *jsonschema.ValidationError {
	if len(err.Causes) == 0 && misfits(err, depth) {
		return err
	}
	for _, cause := range err.Causes {
		if found := firstMisfit(cause, depth); found != nil {
			return found
		}
	}
	return nil
}

// misfits says whether an error means that another alternative was meant.
func misfits(err *jsonschema.ValidationError, depth int) bool {
	switch err.ErrorKind.(type) {
	case *kind.Type:
		return len(err.InstanceLocation) == depth
	case *kind.Const, *kind.Enum:
		return len(err.InstanceLocation) <= depth+1
	}
	return slices.ContainsFunc(err.Causes, func(c *jsonschema.ValidationError) bool { return misfits(c, depth) })
}
