package late

import (
	"strconv"
	"strings"

	"muster/internal/manifest"
)

// field is the last part of a ref: what is said of a host or member. The endpoint and a
// secret are fields of nothing.
type field string

const (
	fieldName     field = "Name"
	fieldAddress  field = "Address"
	fieldIndex    field = "Index"
	fieldZone     field = "Zone"
	fieldEndpoint field = "Endpoint"
	fieldSecret   field = "Secret"
)

const (
	refHost     = "Host"
	refRoster   = "Roster"
	refEndpoint = "Endpoint"
)

func hostRef(f field) string { return refHost + "." + string(f) }

func memberRef(role manifest.Role, index int, f field) string {
	return refRoster + "." + string(role) + "[" + strconv.Itoa(index) + "]." + string(f)
}

// parseRef gives the field that a ref ends in, which decides what its values look like.
func parseRef(ref string) (field, bool) {
	if ref == refEndpoint {
		return fieldEndpoint, true
	}
	if _, ok := SecretName(ref); ok {
		return fieldSecret, true
	}
	if f, ok := strings.CutPrefix(ref, refHost+"."); ok {
		return hostField(f)
	}
	rest, ok := strings.CutPrefix(ref, refRoster+".")
	if !ok {
		return "", false
	}
	role, rest, ok := strings.Cut(rest, "[")
	if !ok || !validRole(role) {
		return "", false
	}
	index, f, ok := strings.Cut(rest, "].")
	if !ok || !validIndex(index) {
		return "", false
	}
	return hostField(f)
}

func hostField(s string) (field, bool) {
	switch f := field(s); f {
	case fieldName, fieldAddress, fieldIndex, fieldZone:
		return f, true
	}
	return "", false
}

func validRole(s string) bool {
	if s == "" || len(s) > maxLabel {
		return false
	}
	for i := range len(s) {
		if !letterOrDigit(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}
