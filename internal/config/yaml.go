package config

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxDepth is how deep values may be nested: everything after this recurses over the tree without a second thought.
const maxDepth = 64

// parse reads one YAML document whose top is a mapping. It gives nil when the text is not that, or holds something that
// Muster does not read (aliases, tags, several documents); the report has the reason.
func parse(file string, data []byte) (*report, *yaml.Node) {
	r := &report{file: file}
	text, problem := cleanText(data)
	r.lines = strings.Split(text, "\n")
	if problem != nil {
		r.add(*problem)
		return r, nil
	}
	top, err := decode(text)
	switch {
	case err != nil:
		r.add(syntaxProblem(text, r.lines, err))
		return r, nil
	case top == nil:
		r.add(Problem{Line: 1, Column: 1, Message: "the file is empty", Remedy: "write the configuration; the examples directory has a complete one to start from"})
		return r, nil
	}
	w := walker{report: r}
	w.walk(top, nil, 1)
	if w.refused {
		return r, nil
	}
	if top.Kind != yaml.MappingNode {
		r.add(Problem{Line: top.Line, Column: top.Column, Message: "the file must be a mapping of keys to values, found " + describe(top),
			Remedy: "begin each line at the left with a key and a colon, such as name: value"})
		return r, nil
	}
	return r, top
}

// errSecondDocument says that there is more than one document.
type errSecondDocument struct{ line, column int }

func (errSecondDocument) Error() string { return "the file holds more than one YAML document" }

// decode gives the top node of the only document, nil when there is none or it is empty.
func decode(text string) (top *yaml.Node, err error) {
	// The parser panics on what it takes for its own mistakes. Its input comes from people, so that is an error
	// of the file like any other.
	defer func() {
		if p := recover(); p != nil {
			top, err = nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	d := yaml.NewDecoder(strings.NewReader(text))
	var first, second yaml.Node
	if err := d.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&second); err == nil {
		return nil, errSecondDocument{second.Line, second.Column}
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(first.Content) == 0 || first.Content[0].Tag == "!!null" && first.Content[0].Value == "" {
		return nil, nil
	}
	return first.Content[0], nil
}

// walker looks for what YAML allows and Muster does not.
type walker struct {
	*report
	// refused says that something was found that cannot be read, tooDeep that the walk ended for it. A key that
	// stands twice is neither: the first one counts.
	refused, tooDeep bool
}

func (w *walker) refuse(n *yaml.Node, way *trail, message, remedy string) {
	w.refused = true
	w.add(Problem{Line: n.Line, Column: n.Column, Key: way.String(), Message: message, Remedy: remedy})
}

func (w *walker) walk(n *yaml.Node, way *trail, depth int) {
	if w.tooDeep {
		return
	}
	if depth > maxDepth {
		w.refuse(n, nil, fmt.Sprintf("values are nested deeper than %d levels", maxDepth), "check the indentation and the brackets: nothing in this file needs so many levels")
		w.tooDeep = true
		return
	}
	switch {
	case n.Kind == yaml.AliasNode:
		w.refuse(n, way, "aliases such as *"+n.Value+" are not supported", "write the value out where it is used")
		return
	case n.Anchor != "":
		w.refuse(n, way, "anchors such as &"+n.Anchor+" are not supported", "remove the anchor and write the value out where it is used")
	case n.Style&yaml.TaggedStyle != 0:
		w.refuse(n, way, "the tag "+n.Tag+" is not supported", "remove the tag; put a value in quotes to make it text")
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			w.walk(item, way.item(i), depth+1)
		}
	case yaml.MappingNode:
		w.mapping(n, way, depth)
	}
}

func (w *walker) mapping(n *yaml.Node, way *trail, depth int) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind == yaml.AliasNode:
			w.walk(k, way, depth+1)
			continue
		case k.Kind != yaml.ScalarNode && strings.Contains(w.lines[k.Line-1], "{{"):
			w.refuse(k, way, "a template without quotes is a mapping to YAML", `put the template in quotes: "{{ ... }}"`)
			continue
		case k.Kind != yaml.ScalarNode:
			w.refuse(k, way, "a key must be text, found "+describe(k), `write the key as a word; put it in quotes if it holds any of [ ] { }`)
			continue
		case k.Tag == "!!merge":
			w.refuse(k, way, "merge keys (<<) are not supported", "write the keys out where they are used")
			continue
		case k.Value == "":
			w.refuse(k, way, "a key is empty", "write the key before the colon")
			continue
		case k.Anchor != "" || k.Style&yaml.TaggedStyle != 0:
			w.walk(k, way, depth+1)
		}
		below := way.key(k.Value)
		if before, ok := first[k.Value]; ok {
			w.add(Problem{Line: k.Line, Column: k.Column, Key: below.String(), Remedy: "keep one of the two",
				Message: fmt.Sprintf("the key stands twice: first in line %d, again here", before.Line)})
		} else {
			first[k.Value] = k
		}
		w.walk(v, below, depth+1)
	}
}

// syntax says in Muster's words what the parser says in its own, by a part of the parser's message.
var syntax = []struct{ parser, message, remedy, marks string }{
	{"mapping values are not allowed", `a second ": " in one value, or a key that is indented too far`, "give keys of one level the same indentation; put a value that holds a colon in quotes", ":"},
	{"found unexpected end of stream", "a quotation mark is opened and never closed", "close the quote, or put the whole value in the other kind of quotes", `"'`},
	{"unexpected document indicator", "a quotation mark is opened and never closed", "close the quote, or put the whole value in the other kind of quotes", `"'`},
	{"could not find expected ':'", "a key without a colon", "write key: value, with a space after the colon", ""},
	{"cannot start any token", "a value cannot begin with this character", "put the value in quotes", "@`%\t"},
	{"expected '-' indicator", "this line belongs neither to the list above it nor to the level above that", "indent it like the other lines of its level", ""},
	{"did not find expected key", "this line does not fit the lines above it", "indent it like the other keys of its level; check the quotes in it", ""},
	{"',' or ']'", "a bracket [ is opened and never closed, or a comma is missing", "put commas between the items and close the bracket", "["},
	{"',' or '}'", "a brace { is opened and never closed, or a comma is missing", "put commas between the entries and close the brace; put templates in quotes", "{"},
	{"expected node content", "a value is missing or a bracket is not closed", "write the value, or close the bracket", "[{,"},
	{"unknown escape character", "a backslash in double quotes begins no known escape", `use single quotes, or write \\ for a backslash`, `\`},
	{"unknown anchor", "aliases such as *name are not supported", "write the value out where it is used; put a value that begins with * in quotes", "*"},
	{"exceeded max depth", "values are nested too deep", "check the indentation and the brackets", ""},
	{"block sequence entries are not allowed", "a list cannot begin here", "begin the list on a line of its own, or put a value that begins with a dash in quotes", "-"},
}

// syntaxProblem finds out where the parser gave up, which it tells only by the line and not always rightly.
func syntaxProblem(text string, lines []string, err error) Problem {
	var two errSecondDocument
	if errors.As(err, &two) {
		return Problem{Line: two.line, Column: two.column, Message: two.Error(), Remedy: "keep one document; remove the line --- and what follows it"}
	}
	line := failingLine(text, lines, err)
	source := lines[line-1]
	indent := source[:len(source)-len(strings.TrimLeft(source, " \t"))]
	p := Problem{Line: line, Column: 1 + len(indent)}
	if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
		p.Column = 1 + tab
		p.Message, p.Remedy = "a tab in the indentation, where YAML allows only spaces", "replace the tab by spaces"
		return p
	}
	for _, s := range syntax {
		if !strings.Contains(err.Error(), s.parser) {
			continue
		}
		p.Message, p.Remedy = s.message, s.remedy
		if at := strings.LastIndexAny(source, s.marks); at >= 0 && s.marks != "" {
			p.Column = 1 + utf8.RuneCountInString(source[:at])
		}
		return p
	}
	p.Message = "is not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")
	p.Remedy = "check the indentation, quotes and brackets of this line and the one above it"
	return p
}

// parseBudget bounds the bytes that failingLine parses, a few seconds' work at most.
const parseBudget = 32 << 20

// nearLines is how far back failingLine looks line by line. Nearly every mistake is in the last lines that were read.
const nearLines = 64

// failingLine gives the first line with which the text cannot be parsed any more: the one after a part from the top
// that can. The parser reads ahead only a little, so the search starts from where it stopped reading. What is further
// away, such as a quote that was never closed, is found by halving; there the part before a value that goes over
// several lines might be taken for the end, but only if the mistake is behind that value.
func failingLine(text string, lines []string, failure error) int {
	read := &slowReader{text: text}
	_ = decodeAll(read)
	last := min(len(lines), 1+strings.Count(text[:read.read], "\n"))
	starts := make([]int, last)
	for i := 1; i < last; i++ {
		starts[i] = starts[i-1] + len(lines[i-1]) + 1
	}
	budget := parseBudget
	// good says whether the lines before line i, counted from 0, can be parsed.
	good := func(i int) bool {
		budget -= starts[i]
		return budget >= 0 && decodeAll(strings.NewReader(text[:starts[i]])) == nil
	}
	bad := last
	for ; bad > max(0, last-nearLines) && budget > parseBudget/2; bad-- {
		if good(bad - 1) {
			return bad
		}
	}
	low := 0
	for bad-low > 1 {
		if middle := (low + bad) / 2; good(middle) {
			low = middle
		} else {
			bad = middle
		}
	}
	if budget >= 0 {
		return low + 1
	}
	var reported int
	if _, err := fmt.Sscanf(failure.Error(), "yaml: line %d:", &reported); err == nil && 1 <= reported && reported <= len(lines) {
		return reported
	}
	return last
}

// decodeAll reads all documents and says what stops it.
func decodeAll(r io.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	for d := yaml.NewDecoder(r); ; {
		var node yaml.Node
		if err := d.Decode(&node); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// slowReader hands out a byte at a time, so that what was read tells how far the parser came.
type slowReader struct {
	text string
	read int
}

func (s *slowReader) Read(b []byte) (int, error) {
	if s.read == len(s.text) {
		return 0, io.EOF
	}
	b[0] = s.text[s.read]
	s.read++
	return 1, nil
}
