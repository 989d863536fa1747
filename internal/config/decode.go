package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// cursor is a value in a file, with the way to it, and knows how to read it as what is wanted. Whatever does not fit is
// added to the report, and reading goes on: one run shows every problem.
type cursor struct {
	*report
	node *yaml.Node
	// at is the node to point at when the value is missing: its key, or the top of the file.
	at  *yaml.Node
	way *trail
}

// fail reports a problem with the value.
func (c cursor) fail(message, remedy string) { c.failAt(c.node, message, remedy) }

// failKey reports a problem with the key, such as one that is not known.
func (c cursor) failKey(message, remedy string) { c.failAt(c.at, message, remedy) }

func (c cursor) failAt(n *yaml.Node, message, remedy string) {
	c.add(Problem{Line: n.Line, Column: n.Column, Key: c.way.String(), Message: message, Remedy: remedy})
}

func (c cursor) warn(message, remedy string) {
	c.add(Problem{Line: c.node.Line, Column: c.node.Column, Key: c.way.String(), Message: message, Remedy: remedy, Warning: true})
}

// missing reports that there is no value below a key of this mapping.
func (c cursor) missing(key, message, remedy string) {
	c.add(Problem{Line: c.at.Line, Column: c.at.Column, Key: c.way.key(key).String(), Message: message, Remedy: remedy})
}

// line is where the value stands.
func (c cursor) line() int { return c.node.Line }

// empty says that nothing, or null, follows the key. That is what remains when all entries are commented out.
func (c cursor) empty() bool { return c.node.Kind == yaml.ScalarNode && c.node.Tag == "!!null" }

// field is one key of a mapping: its name, what reads it, and for one that must be there, how to write it.
type field struct {
	name   string
	read   func(cursor)
	remedy string
}

func may(name string, read func(cursor)) field { return field{name: name, read: read} }

func must(name, remedy string, read func(cursor)) field {
	return field{name: name, read: read, remedy: remedy}
}

// fields reads a mapping with a fixed set of keys, in the order of the set. It says whether the keys are in order: when
// one is not known, it may be the very one that another check would miss.
func (c cursor) fields(set ...field) bool {
	if !c.isMapping() {
		return false
	}
	names := make([]string, len(set))
	for i, f := range set {
		names[i] = f.name
	}
	values := make([]cursor, len(set))
	var meant []string
	good := true
	for key, value := range c.entries() {
		i := slices.Index(names, key)
		switch {
		case i < 0:
			value.failKey("unknown key"+suggestion(key, names), "the keys here are "+join(names, "and"))
			meant, good = append(meant, nearest(key, names)), false
		case values[i].node == nil:
			values[i] = value
		}
	}
	for i, f := range set {
		switch {
		case values[i].node == nil && slices.Contains(meant, f.name):
		case values[i].node == nil && f.remedy != "":
			c.missing(f.name, "is required", f.remedy)
		case values[i].node == nil:
		case values[i].empty() && f.remedy != "":
			values[i].failKey("is required, but has no value", f.remedy)
		case !values[i].empty():
			f.read(values[i])
		}
	}
	return good
}

// entries are the pairs of a mapping, in the order of the file. A key that stands twice is reported elsewhere.
func (c cursor) entries() func(yield func(string, cursor) bool) {
	return func(yield func(string, cursor) bool) {
		for i := 0; i+1 < len(c.node.Content); i += 2 {
			k, v := c.node.Content[i], c.node.Content[i+1]
			if !yield(k.Value, cursor{report: c.report, node: v, at: k, way: c.way.key(k.Value)}) {
				return
			}
		}
	}
}

// named reads a mapping whose keys are names, each once.
func (c cursor) named(read func(name string, value cursor)) {
	if !c.isMapping() {
		return
	}
	seen := make(map[string]bool, len(c.node.Content)/2)
	for name, value := range c.entries() {
		if !seen[name] {
			seen[name] = true
			read(name, value)
		}
	}
}

// items reads a list.
func (c cursor) items(read func(i int, item cursor)) bool {
	if c.node.Kind != yaml.SequenceNode {
		c.fail("must be a list, found "+describe(c.node), "write one item a line, each after a dash and a space, or [a, b]")
		return false
	}
	for i, item := range c.node.Content {
		read(i, cursor{report: c.report, node: item, at: item, way: c.way.item(i)})
	}
	return true
}

func (c cursor) isMapping() bool {
	if c.node.Kind != yaml.MappingNode {
		c.fail("must be a mapping of keys to values, found "+describe(c.node), "write key: value, one a line, indented below this key")
		return false
	}
	return true
}

// text reads text. A number is not text: 1.10 without quotes would have become 1.1.
func (c cursor) text() (string, bool) {
	switch {
	case c.node.Kind == yaml.ScalarNode && isText(c.node):
		return c.node.Value, true
	case c.node.Kind == yaml.ScalarNode && !c.empty():
		c.fail("must be text, found "+describe(c.node), "put it in quotes: "+strconv.Quote(c.node.Value))
	default:
		c.fail("must be text, found "+describe(c.node), "write a single value after the colon")
	}
	return "", false
}

// phrase reads text that is not empty and has no control characters: it will be shown on terminals.
func (c cursor) phrase() string {
	s, ok := c.text()
	if ok && strings.TrimSpace(s) == "" {
		c.fail("must not be empty", "write a word or a sentence, or leave the key out if it may be absent")
	}
	if printable(strings.ReplaceAll(s, "\n", "")) != strings.ReplaceAll(s, "\n", "") {
		c.fail("holds control characters", "write it in visible characters")
	}
	return s
}

// scalarText reads any single value as it is written: 2379 and "2379" are the same.
func (c cursor) scalarText() (string, bool) {
	if c.node.Kind != yaml.ScalarNode {
		c.fail("must be a single value, found "+describe(c.node), `write one value; put a template in quotes: "{{ ... }}"`)
		return "", false
	}
	return c.node.Value, true
}

// oneOf reads one of a few words.
func (c cursor) oneOf(words ...string) string {
	s, ok := c.text()
	if ok && !slices.Contains(words, s) {
		c.fail("must be "+choice(words)+", found "+quote(s)+suggestion(s, words), "write "+choice(words))
	}
	return s
}

// decimal is the only way to write a whole number that everybody reads alike: YAML takes 010 for eight.
// leadingZero begins what is octal to one program, decimal to the next and text to a third.
var leadingZero = regexp.MustCompile(`^-?0[0-9]`)

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// whole reads a whole number within bounds.
func (c cursor) whole(low, high int) (int, bool) {
	n, err := strconv.Atoi(c.node.Value)
	switch {
	case c.node.Kind != yaml.ScalarNode || isText(c.node) || !isNumber(c.node):
		c.fail("must be a whole number, got "+describe(c.node), fmt.Sprintf("write a number from %d to %d, without quotes", low, high))
	case !decimal.MatchString(c.node.Value):
		c.fail("must be a whole number in plain decimal digits, got "+describe(c.node), fmt.Sprintf("write a number from %d to %d, without leading zeros, point or underscore", low, high))
	case err != nil || n < low || n > high:
		c.fail(fmt.Sprintf("must be between %d and %d, found %s", low, high, c.node.Value), fmt.Sprintf("write a number from %d to %d", low, high))
	default:
		return n, true
	}
	return 0, false
}

// port reads a TCP port.
func (c cursor) port(fallback int) int {
	if n, ok := c.whole(1, 65535); ok {
		return n
	}
	return fallback
}

func (c cursor) boolean() bool {
	if c.node.Kind != yaml.ScalarNode || c.node.Tag != "!!bool" {
		c.fail("must be true or false, got "+describe(c.node), "write true or false, without quotes")
		return false
	}
	return strings.EqualFold(c.node.Value, "true")
}

// duration reads a Go duration that is more than zero.
func (c cursor) duration(longest time.Duration) time.Duration {
	remedy := "write a number with its unit, such as 30s or 2m, up to " + short(longest)
	if c.node.Kind == yaml.ScalarNode && isNumber(c.node) {
		c.fail("must be a duration, got "+describe(c.node)+" without a unit", remedy)
		return 0
	}
	s, ok := c.text()
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		c.fail(quote(s)+" is not a duration", remedy)
	case d <= 0:
		c.fail("must be more than zero, found "+quote(s), remedy)
	case d > longest:
		c.fail("must be at most "+short(longest)+", found "+quote(s), remedy)
	default:
		return d
	}
	return 0
}

// short gives a duration without its zero parts: 10m instead of 10m0s.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// values reads a mapping of words to text, such as labels.
func (c cursor) values(checkKey, checkValue func(cursor, string)) map[string]string {
	out := map[string]string{}
	c.named(func(name string, value cursor) {
		if checkKey != nil {
			checkKey(value, name)
		}
		if s, ok := value.text(); ok {
			if checkValue != nil {
				checkValue(value, s)
			}
			out[name] = s
		}
	})
	return out
}

// data reads any value as decoded JSON: text, bool, nil, int64, float64, []any and map[string]any. A number that is
// whole becomes an int64 however it is written, so that templates print 1000000 and not 1e+06.
func (c cursor) data() (any, bool) {
	switch c.node.Kind {
	case yaml.MappingNode:
		out, good := make(map[string]any, len(c.node.Content)/2), true
		c.named(func(name string, value cursor) {
			v, ok := value.data()
			out[name], good = v, good && ok
		})
		return out, good
	case yaml.SequenceNode:
		out, good := make([]any, 0, len(c.node.Content)), true
		c.items(func(_ int, item cursor) {
			v, ok := item.data()
			out, good = append(out, v), good && ok
		})
		return out, good
	}
	switch {
	case c.empty():
		return nil, true
	case c.node.Tag == "!!bool":
		return strings.EqualFold(c.node.Value, "true"), true
	case isNumber(c.node):
		return c.number()
	default:
		return c.node.Value, true
	}
}

// exact is the largest whole number up to which a float64 holds every one exactly.
const exact = 1 << 53

func (c cursor) number() (any, bool) {
	raw := strings.TrimPrefix(c.node.Value, "+")
	if decimal.MatchString(raw) {
		n, err := strconv.ParseInt(raw, 10, 64)
		if err != nil {
			c.fail("the number "+quote(raw)+" is too large", fmt.Sprintf("write a number from %d to %d, or put it in quotes if it is a text", math.MinInt64, math.MaxInt64))
			return nil, false
		}
		return n, true
	}
	if c.node.Tag == "!!int" || leadingZero.MatchString(raw) {
		c.fail("the number "+c.node.Value+" is not read alike by all programs", "write it in plain decimal digits, without leading zeros, prefix or underscore, or in quotes if it is a text")
		return nil, false
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		c.fail("is not a finite number: "+quote(c.node.Value), "write a number in decimal digits, or put it in quotes if it is a text")
		return nil, false
	}
	if f == math.Trunc(f) && math.Abs(f) <= exact {
		return int64(f), true
	}
	return f, true
}

// isText says whether a scalar is text. A date is text here: nothing in these files is of a type of its own.
func isText(n *yaml.Node) bool { return n.Tag == "!!str" || n.Tag == "!!timestamp" }

func isNumber(n *yaml.Node) bool { return n.Tag == "!!int" || n.Tag == "!!float" }

// describe names what stands in the file, as in: the text "3".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return strings.ToLower(n.Value)
	case "!!int", "!!float":
		return "the number " + n.Value
	default:
		return "the text " + quote(n.Value)
	}
}
