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
	names := strings.Split(strings.TrimPrefix(node, "$"), ".")[1:]
	if !rootedPath.MatchString(node) || !slices.Contains(names, absentName(message)) || strings.HasSuffix(message, " in type late.Member") {
		return explainLocal(node, message)
	}
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
		case map[string]late.Value:
			next, ok := v[name]
			if !ok {
				e := unreadableSecret(x.space, v, name)
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
		case withheld:
			return withheldError{v, "a template"}.Error(), withheldRemedy
		case nil:
			return at + " is null, so it has no field " + strconv.Quote(name), "give the parameter a value or a default, or use it inside of {{ with }}"
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
	case name == "Secret" && x.withheld != nil:
		return x.withheld.Message, x.withheld.Remedy
	case name == "Endpoint":
		return "the cluster has no endpoint, so .Endpoint has no value", "set endpoint in cluster.yaml, or do not use .Endpoint"
	}
	return "unknown value ." + name + near,
		"a template sees .Param, .Cluster, .Role, .Host, .Roster, .Endpoint and .Secret; inside of {{ range }} and {{ with }} write $.Param and so on"
}

// absent finds the name that text/template did not find, and the type where it looked.
var absent = regexp.MustCompile(`entry for key "(.*)"$|evaluate field (\S+) in type (.*)$|pointer evaluating .*\.(.*)$`)

func absentName(message string) string {
	if m := absent.FindStringSubmatch(message); m != nil {
		return m[1] + m[2] + m[4]
	}
	return ""
}

// explainLocal is for a chain that begins at a variable, in parentheses or at a dot that is not the root: where it leads
// is not known.
func explainLocal(node, message string) (string, string) {
	shown := "this value"
	if strings.HasPrefix(node, "$") {
		shown, _, _ = strings.Cut(node, ".")
	}
	name := strconv.Quote(absentName(message))
	kind := ""
	if m := absent.FindStringSubmatch(message); m != nil {
		kind = m[3]
	}
	switch {
	case kind == "late.Host" || kind == "late.Member":
		return shown + " is a host or member, so it has no field " + name + suggestion(".", absentName(message), lateFields),
			"it has " + strings.Join(lateFields, ", ") + "; the root is reached by $, as in $.Param"
	case kind == "late.Value":
		return shown + " is a late value, so it has no field " + name, "print it itself"
	case strings.HasPrefix(message, "nil"):
		return shown + " is null, so it has no field " + name, "give the parameter a value or a default, or use it inside of {{ with }}"
	}
	return shown + " has no field " + name, "correct the name, or declare it in the bundle's schema with a default; the root is reached by $, as in $.Param"
}

func unreadableSecret(space *late.Space, readable map[string]late.Value, name string) *late.Error {
	if space.Denied(name) {
		return &late.Error{
			Message: "this role may not read the secret " + strconv.Quote(name),
			Remedy:  "add the role to the secret's roles in bundle.yaml, or use the secret only in files of roles that have it",
		}
	}
	names := slices.Sorted(maps.Keys(readable))
	remedy := "declare it under secrets in bundle.yaml, with the roles that may read it"
	if len(names) > 0 {
		remedy += "; this role may read " + strings.Join(names, ", ")
	}
	return &late.Error{Message: "the bundle declares no secret " + strconv.Quote(name) + suggestion("", name, names), Remedy: remedy}
}

func undeclaredRole(roster map[string][]late.Member, name string) *late.Error {
	roles := slices.Sorted(maps.Keys(roster))
	remedy := "no role of this cluster has a count"
	if len(roles) > 0 {
		remedy = "the counted roles are " + strings.Join(roles, ", ")
	}
	return &late.Error{Message: "the cluster has no counted role " + strconv.Quote(name) + suggestion("", name, roles), Remedy: remedy}
}
