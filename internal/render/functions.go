package render

import (
	"fmt"
	"regexp"
	"text/template"

	"muster/internal/late"
)

// replaced are the functions of the template language that are not taken as they are: index, whose errors should name
// the roster, and printf, whose %p prints another address at every run.
var replaced = template.FuncMap{"index": index, "printf": printf}

// verb is a verb of a format with its flags, width and precision.
var verb = regexp.MustCompile(`%[-+# 0-9.*\[\]]*(\pL|%)`)

func printf(format string, args ...any) (string, error) {
	for _, v := range verb.FindAllStringSubmatch(format, -1) {
		if v[1] == "p" {
			return "", &late.Error{Message: "printf with %p prints something else at every generation", Remedy: "use %v"}
		}
	}
	return fmt.Sprintf(format, args...), nil
}
