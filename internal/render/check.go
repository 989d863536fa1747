package render

import (
	"reflect"
	"strconv"
	"text/template"

	"muster/internal/late"
)

// checks are the functions that rewrite puts into templates. Each gives back the value that it is handed.
func (x *execution) checks() template.FuncMap {
	return template.FuncMap{
		checkPrint:     x.checkPrint,
		checkCondition: x.checkShallow,
		checkRange:     x.checkRange,
		checkArgument:  x.checkArgument,
		checkStep:      x.step,
		checkEnter:     x.enter,
		checkLeave:     func() string { x.depth--; return "" },
	}
}

// shallow are the functions that look at a value's length or emptiness, or hand out a part of it: they may take a
// roster, whose length is known, but not a late value itself.
var shallow = map[string]bool{"len": true, "index": true, "slice": true, "and": true, "or": true, "not": true}

func (x *execution) checkArgument(function string, v reflect.Value) (reflect.Value, error) {
	if v = concrete(v); v.IsValid() && !shallow[function] {
		if w, found := withheldIn(v.Interface()); found {
			return v, withheldError{w, function}
		}
	}
	if x.encoders[function] != nil {
		return v, nil
	}
	if v.Kind() == reflect.String {
		// Handling long text again and again takes time, too.
		x.steps += v.Len() / bytesPerStep
	}
	if v.Kind() == reflect.String && v.Len() > MaxOutput {
		// Doubling a variable in a range would fill the memory long before anything is printed.
		return v, &late.Error{Message: "a text in " + function + " is longer than " + strconv.Itoa(MaxOutput) + " bytes", Remedy: "build it from smaller parts, each printed by itself"}
	}
	if shallow[function] {
		return x.checkShallow(function, v)
	}
	if v.IsValid() {
		if ref, found := x.space.FindWithin(v.Interface()); found {
			return v, late.Misuse(ref, function)
		}
	}
	return v, nil
}

func (x *execution) checkShallow(use string, v reflect.Value) (reflect.Value, error) {
	if v = concrete(v); v.IsValid() {
		if w, ok := v.Interface().(withheld); ok {
			return v, withheldError{w, use}
		}
		if ref, found := x.space.Find(v.Interface()); found {
			return v, late.Misuse(ref, use)
		}
	}
	return v, nil
}

func (x *execution) checkRange(use string, v reflect.Value) (reflect.Value, error) {
	v, err := x.checkShallow(use, v)
	iterable := !v.IsValid() || v.Kind() == reflect.Slice || v.Kind() == reflect.Map || v.CanInt() || v.CanUint()
	if err == nil && !iterable {
		err = &late.Error{Message: "range takes a list, a map or a whole number, not " + kindOf(v), Remedy: "use {{ with }} for a single value"}
	}
	return v, err
}

// checkPrint lets through what is one word of output, and of the late values what this template may print.
func (x *execution) checkPrint(shown string, v reflect.Value) (reflect.Value, error) {
	v = concrete(v)
	if !v.IsValid() {
		return v, &late.Error{Message: shown + " is null", Remedy: "give the parameter a value or a default, or print it inside of {{ with }}"}
	}
	if w, ok := v.Interface().(withheld); ok {
		return v, withheldError{w, "a template"}
	}
	if value, ok := v.Interface().(late.Value); ok {
		if late.Ref(value) == "Host.Index" && !x.counted {
			return v, &late.Error{
				Message: "late value .Host.Index is not known in an open role: only the members of counted roles are numbered",
				Remedy:  "use .Host.Name to tell hosts apart",
			}
		}
		if late.Bare(value) {
			return v, &late.Error{
				Message: "secret ." + late.Ref(value) + " is printed without an encoder, so its value could change the meaning of the text around it",
				Remedy:  "write the encoder of the file's syntax after it, as in {{ ." + late.Ref(value) + " | json }}, or | raw to print it as it is",
			}
		}
		return v, nil
	}
	if v.Kind() == reflect.String || v.Kind() == reflect.Bool || v.CanInt() || v.CanUint() || v.CanFloat() {
		if ref, found := x.space.Find(v.Interface()); found {
			return v, late.Misuse(ref, "a method call")
		}
		return v, nil
	}
	remedy := "print its parts, or all of it with | json or | yaml"
	switch v.Interface().(type) {
	case late.Host, late.Member:
		remedy = "print its parts, such as .Name or .Address"
	case map[string]late.Value:
		remedy = "print them by their names, as in {{ .Secret.key | json }}"
	case []late.Member, map[string][]late.Member:
		remedy = "use {{ range }} and print the parts of each member, such as .Name or .Address"
	}
	return v, &late.Error{Message: shown + " is " + kindOf(v) + ", not a single value", Remedy: remedy}
}

func (x *execution) step() (string, error) {
	if x.steps++; x.steps > maxSteps {
		return "", &late.Error{Message: "the template takes more than " + strconv.Itoa(maxSteps) + " steps", Remedy: "range over less"}
	}
	return "", nil
}

func (x *execution) enter() (string, error) {
	if x.depth++; x.depth > maxDepth {
		return "", &late.Error{Message: "templates include each other more than " + strconv.Itoa(maxDepth) + " deep", Remedy: "end the recursion with {{ if }}"}
	}
	return x.step()
}

// concrete looks through interfaces to the value inside.
func concrete(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

func kindOf(v reflect.Value) string {
	if v = concrete(v); !v.IsValid() {
		return "null"
	}
	switch v.Interface().(type) {
	case withheld:
		return "a value that is writeOnly"
	case late.Value:
		return "a late value"
	case late.Host:
		return "a host"
	case late.Member:
		return "a member"
	case []late.Member:
		return "a list of members"
	case map[string][]late.Member:
		return "the roster"
	case map[string]late.Value:
		return "the secrets"
	}
	switch {
	case v.CanInt(), v.CanUint(), v.CanFloat():
		return "a number"
	case v.Kind() == reflect.String:
		return "text"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.Kind() == reflect.Slice:
		return "a list"
	case v.Kind() == reflect.Map:
		return "a map"
	}
	return "a " + v.Kind().String()
}
