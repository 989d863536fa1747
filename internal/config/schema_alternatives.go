package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

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
	if only := nearly(err); only != nil {
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

// nearly gives the only alternative that the value fits but for its port: who wrote one meant a host and a port.
func nearly(err *jsonschema.ValidationError) *jsonschema.ValidationError {
	var best *jsonschema.ValidationError
	for _, cause := range err.Causes {
		k, ok := cause.ErrorKind.(*kind.Format)
		if !ok || k.Want != "host-port" {
			continue
		}
		s, ok := k.Got.(string)
		if !ok || portMistake(s) == "" {
			continue
		}
		if best != nil {
			return nil
		}
		best = cause
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
