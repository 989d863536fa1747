package render

import (
	"strconv"
	"strings"

	"muster/internal/late"
)

// Assert evaluates a rule: a template over .Param and .Cluster that prints true or false.
// The file is named in errors, each of which is an *Error.
func Assert(file, text string, params map[string]any, cluster ClusterInfo) (bool, error) {
	r := New(Context{Param: params, Cluster: cluster}, late.NewSpace(late.Marker([32]byte{}), late.Spec{})).without("Role", "Host", "Roster", "Secret")
	out, err := r.Render(file, []byte(text))
	if err != nil {
		return false, err
	}
	switch printed := strings.TrimSpace(string(out)); printed {
	case "true", "false":
		return printed == "true", nil
	default:
		return false, &Error{File: file, Message: "the rule prints " + strconv.Quote(clip(printed)) + ", not true or false", Remedy: "compare values by eq, ne, lt, le, gt and ge, and join comparisons by and, or and not"}
	}
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
