package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
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

// notAllowedHere is the message for a parameter that exists, but not together with the others.
const notAllowedHere = "is not allowed together with the other values"

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
