package late

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// An encoder makes a value safe in one syntax. To an encoder every late value is text, an index too.
type encoder struct {
	name   string
	encode func(string) (string, error)
}

// encoders are all that a template can name and a slot can hold.
var encoders = []encoder{
	{"json", jsonText},
	{"yaml", yamlText},
	{"shell", shellText},
	{"systemd", systemdText},
	{"base64", func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }},
	{"urlhost", urlHostText},
	{"url", urlText},
	{"raw", func(s string) (string, error) { return s, nil }},
}

// maxChain is how many encoders can follow each other, maxEncoded how long their result can be: quoting what is
// quoted already doubles it each time.
const (
	maxChain   = 4
	maxEncoded = 1 << 20
)

// Encode applies the encoders, in their order, to a plain value.
func Encode(value string, names []string) (string, error) {
	for _, name := range names {
		e, ok := findEncoder(name)
		if !ok {
			return "", &Error{"unknown encoder " + quote(name), "the encoders are " + encoderNames()}
		}
		var err error
		if value, err = e.encode(value); err != nil {
			return "", err
		}
		if len(value) > maxEncoded {
			return "", &Error{"a value is longer than 1 MiB when encoded as " + name, "shorten it, or put it into a file of its own"}
		}
	}
	return value, nil
}

func findEncoder(name string) (encoder, bool) {
	for _, e := range encoders {
		if e.name == name {
			return e, true
		}
	}
	return encoder{}, false
}

func encoderNames() string {
	names := make([]string, len(encoders))
	for i, e := range encoders {
		names[i] = e.name
	}
	return strings.Join(names, ", ")
}

// chain splits the chain of a Value.
func chain(encode string) []string {
	if encode == "" {
		return nil
	}
	return strings.Split(encode, " ")
}

// shellText quotes for a POSIX shell: in single quotes nothing but a single quote is special.
func shellText(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", nulError("a shell word")
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

// urlHostText puts an IPv6 address into brackets, as URLs and host:port want it, and leaves everything else alone.
func urlHostText(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is6() {
		return "[" + s + "]", nil
	}
	return s, nil
}

func nulError(what string) error {
	return &Error{what + " cannot hold a NUL byte", "use | base64 and decode it where it is used"}
}

func utf8Error(what string, s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return &Error{what + " cannot hold bytes that are not UTF-8", "use | base64 and decode it where it is used"}
}
