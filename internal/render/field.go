package render

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"muster/internal/late"
)

// rootedPath is a chain of fields that may begin at the root of the data.
var rootedPath = regexp.MustCompile(`^\$?(\.[\pL_][\pL\pN_]*)+$`)

var lateFields = []string{"Name", "Address", "Index", "Zone"}

// explainField says which part of a chain of fields does not exist, by walking it again.
func (x *execution) explainField(node, message string) (string, string) {
	if !rootedPath.MatchString(node) {
		return x.explainLocal(node, message)
	}
	names := strings.Split(strings.TrimPrefix(node, "$"), ".")[1:]
	var value any = x.data
	for i, name := range names {
		at := "." + strings.Join(names[:i], ".")
		switch v := value.(type) {
		case map[string]any:
			next, ok := v[name]
			if !ok {
				return x.missingKey(names[:i], name, v)
			}
			value = next
		case map[string][]late.Member:
			next, ok := v[name]
			if !ok {
				e := undeclaredRole(v, name)
				return e.Message, e.Remedy
			}
			value = next
		case late.Host:
			if !slices.Contains(lateFields, name) {
				return at + " has no field " + strconv.Quote(name) + suggestion(at+".", name, lateFields), "it has " + strings.Join(lateFields, ", ")
			}
			value = reflect.ValueOf(v).FieldByName(name).Interface()
		case []late.Member:
			return at + " is a list of members, so it has no field " + strconv.Quote(name),
				"use {{ range " + at + " }} or {{ (index " + at + " 0)." + name + " }}"
		default:
			return at + " is " + kindOf(reflect.ValueOf(v)) + ", so it has no field " + strconv.Quote(name), "print " + at + " itself"
		}
	}
	// The root has it all, so the dot was not the root.
	return node + " is not here: the dot is something else inside of {{ range }}, {{ with }} and {{ define }}",
		"write $" + strings.TrimPrefix(node, "$") + ", or hand the value to the included template"
}

func (x *execution) missingKey(way []string, name string, m map[string]any) (string, string) {
	at := "."
	if len(way) > 0 {
		at = "." + strings.Join(way, ".") + "."
	}
	near := suggestion(at, name, slices.Sorted(maps.Keys(m)))
	switch {
	case len(way) > 0 && way[0] == "Param":
		return "unknown parameter " + at + name + near, "declare it in the bundle's schema, with a default when it is optional"
	case len(way) > 0:
		return "unknown value " + at + name + near, at[:len(at)-1] + " has " + strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	case x.preflight && (name == "Roster" || name == "Endpoint"):
		return "." + name + " is not known here: preflight runs before the roster is known", "use only .Host in preflight checks, or make this a postflight check"
	case name == "Endpoint":
		return "the cluster has no endpoint, so .Endpoint has no value", "set endpoint in cluster.yaml, or do not use .Endpoint"
	}
	return "unknown value ." + name + near,
		"a template sees .Param, .Cluster, .Role, .Host, .Roster and .Endpoint; inside of {{ range }} and {{ with }} write $.Param and so on"
}

// explainLocal is for a chain that begins at a variable or in parentheses: where it leads is not known.
func (x *execution) explainLocal(node, message string) (string, string) {
	shown := node
	if strings.Contains(node, "muster") {
		shown = "this value"
	}
	if _, field, ok := strings.Cut(message, "can't evaluate field "); ok {
		field, kind, _ := strings.Cut(field, " in type ")
		switch kind {
		case "late.Host", "late.Member":
			return shown + " has no field " + strconv.Quote(field) + suggestion(".", field, lateFields), "it has " + strings.Join(lateFields, ", ")
		case "late.Value":
			return shown + " goes into a late value, which has no parts", "print the late value itself"
		}
		return shown + " cannot be had: there is no field " + strconv.Quote(field), "fields belong to maps; print the value itself"
	}
	if q := quotedWord.FindStringSubmatch(message); q != nil {
		return shown + " cannot be had: there is no " + strconv.Quote(q[1]+q[2]), "correct the name, or declare it in the bundle's schema with a default"
	}
	return shown + " is null or a part of it is", "give the parameter a value or a default, or use it inside of {{ with }}"
}

func undeclaredRole(roster map[string][]late.Member, name string) *late.Error {
	roles := slices.Sorted(maps.Keys(roster))
	remedy := "no role of this cluster has a count"
	if len(roles) > 0 {
		remedy = "the counted roles are " + strings.Join(roles, ", ")
	}
	return &late.Error{Message: "the cluster has no counted role " + strconv.Quote(name) + suggestion("", name, roles), Remedy: remedy}
}
