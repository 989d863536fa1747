package secrets

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/manifest"
)

// FormOf is what a value that an operator gives must look like. For a secret that is otherwise generated, that is a
// line of a decent length.
func FormOf(s manifest.Secret) manifest.Form {
	if s.Given != nil {
		return *s.Given
	}
	return manifest.Form{Format: "line", MinLength: 8}
}

// Accept checks a value as it came from a file, a variable or the standard input, and gives the value to keep: of a
// line, the line end that nearly every such file has is not a part. No error repeats any of the value.
func Accept(name string, form manifest.Form, given []byte) ([]byte, error) {
	value := given
	if form.Format == "line" {
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	}
	refuse := func(remedy, format string, args ...any) error {
		return fault.New(fault.Invalid, remedy, "the value of secret %s %s", name, fmt.Sprintf(format, args...))
	}
	switch {
	case len(value) == 0:
		return nil, refuse("look whether the file or the variable is the right one", "is empty")
	case len(value) > late.MaxSecret:
		return nil, refuse("a secret is a password, a key or a certificate; larger files belong into a package",
			"has %d bytes, more than %d", len(value), late.MaxSecret)
	case len(value) < form.MinLength:
		return nil, refuse("choose a longer one", "has %d bytes, fewer than the %d that the bundle asks for", len(value), form.MinLength)
	}
	switch form.Format {
	case "line":
		if !utf8.Valid(value) || strings.ContainsFunc(string(value), unicode.IsControl) {
			return nil, refuse("give a single line of text; a bundle that wants more says format: text, pem or binary",
				"is not one line of text: it has line breaks, control characters or bytes that are not UTF-8")
		}
	case "text":
		if !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0 {
			return nil, refuse("save it as UTF-8", "is not text: it has NUL or bytes that are not UTF-8")
		}
	case "pem":
		if !isPEM(value) {
			return nil, refuse("give the file whole, from -----BEGIN to the last -----END line", "is not PEM")
		}
	}
	if form.Pattern != "" {
		pattern, err := regexp.Compile(`\A(?:` + form.Pattern + `)\z`)
		if err != nil {
			return nil, refuse("ask the publisher to correct the bundle", "cannot be checked: the pattern is not valid")
		}
		if !pattern.Match(value) {
			return nil, refuse("see the summary: coordinator secret list", "does not match the pattern that the bundle asks for, %s", form.Pattern)
		}
	}
	return bytes.Clone(value), nil
}

// isPEM says whether the text is blocks of PEM with nothing after them.
func isPEM(text []byte) bool {
	found := false
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return found && len(bytes.TrimSpace(text)) == 0
		}
		found, text = true, rest
	}
}
