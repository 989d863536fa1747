package unpack

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// node is what a name in the archive stands for.
type node int

const (
	// implied is a directory that is only known because something is in it.
	implied node = iota + 1
	directory
	regular
	link
)

// names are all names of an archive so far. They are what the rules on duplicates and on links are checked against,
// with no look at the file system.
type names struct {
	nodes map[string]node
	lim   limits
	bytes int
}

// add takes a name if it may stand for n, and returns the parents that were not known before, outermost first.
func (t *names) add(name string, n node) (parents []string, err error) {
	if err := checkName(name, t.lim.depth); err != nil {
		return nil, err
	}
	for i, c := range name {
		if c != '/' {
			continue
		}
		switch parent := name[:i]; t.nodes[parent] {
		case implied, directory:
		case 0:
			if err := t.put(parent, implied); err != nil {
				return nil, err
			}
			parents = append(parents, parent)
		default:
			return nil, fmt.Errorf("%q is to be written through %q, which is not a directory", name, parent)
		}
	}
	if old := t.nodes[name]; old != 0 && !(old == implied && n == directory) {
		return nil, fmt.Errorf("%q appears twice", name)
	}
	return parents, t.put(name, n)
}

func (t *names) put(name string, n node) error {
	if t.nodes[name] == 0 {
		t.bytes += len(name)
	}
	t.nodes[name] = n
	if len(t.nodes) > 2*t.lim.entries+t.lim.depth {
		return errors.New("too many directories have no entry of their own")
	}
	if t.bytes > maxNames {
		return fmt.Errorf("the names are longer than %d bytes together", maxNames)
	}
	return nil
}

// checkName accepts a relative path in its shortest form.
func checkName(name string, depth int) error {
	switch {
	case name == "" || len(name) > MaxName:
		return fmt.Errorf("a name has %d bytes, 1 to %d are allowed", len(name), MaxName)
	case BadName(name) != "":
		return fmt.Errorf("the name %q %s", name, BadName(name))
	case strings.Count(name, "/") >= depth:
		return fmt.Errorf("the name %.200q is more than %d levels deep", name, depth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > 255 {
			return fmt.Errorf("%.80q… in a name is longer than 255 bytes", part)
		}
	}
	return nil
}

// BadName says in words that follow the name why it is no relative path in its shortest form, "" if it is one. Its length is
// left to the caller.
func BadName(name string) string {
	switch {
	case !printable(name):
		return notPrintable
	case path.IsAbs(name):
		return "is absolute"
	case name == "." || name == ".." || strings.HasPrefix(name, "../") || path.Clean(name) != name:
		return "is not a plain path inside of the archive"
	}
	return ""
}

// BadTarget says in words that follow the target why the symbolic link name may not lead there, "" if it stays inside. Parents
// are climbed at its beginning only: there they are real directories, while after a name that is a link itself they could
// lead anywhere.
func BadTarget(name, target string) string {
	switch inside := path.Join(path.Dir(name), target); {
	case target == "":
		return "is empty"
	case len(target) > MaxName:
		return "is too long"
	case !printable(target):
		return notPrintable
	case path.IsAbs(target):
		return "is absolute"
	case inside == ".." || strings.HasPrefix(inside, "../"):
		return "is outside of the package"
	case path.Clean(target) != target:
		return "is not in its shortest form"
	}
	return ""
}

const notPrintable = "is not UTF-8 or has control characters"

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
