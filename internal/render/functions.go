package render

import (
	"fmt"
	"regexp"
	"text/template"

	"muster/internal/late"
)

// replaced are the functions of the template language that are not taken as they are: index, whose errors should name
// the roster, and printf, of which some verbs must not be.
func (r *Renderer) replaced() template.FuncMap {
	return template.FuncMap{"index": r.index, "printf": printf}
}

// verb is a verb of a format with its flags, width and precision.
var verb = regexp.MustCompile(`%([-+# 0-9.*\[\]]*)(\pL|%)`)

// wide is a width or precision that no line of text has, but that would fill the memory.
var wide = regexp.MustCompile(`[0-9]{5}`)

func printf(format string, args ...any) (string, error) {
	for _, v := range verb.FindAllStringSubmatch(format, -1) {
		switch {
		case v[2] == "p":
			return "", &late.Error{Message: "printf with %p prints an address, which is another one at every generation", Remedy: "use %v"}
		case wide.MatchString(v[1]):
			return "", &late.Error{Message: "printf with " + v[0] + " is too wide", Remedy: "use a width of at most four digits"}
		}
	}
	return fmt.Sprintf(format, args...), nil
}
