package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// parseLegacy reads the ancestor's config, JSON or YAML, as a tree. A file is JSON if it is called so, or if it begins
// like it and is not called YAML.
func parseLegacy(file string, data []byte) (*report, *yaml.Node) {
	ext := strings.ToLower(filepath.Ext(file))
	start := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if ext == ".json" || ext != ".yaml" && ext != ".yml" && bytes.HasPrefix(start, []byte("{")) {
		return parseJSON(file, data)
	}
	return parse(file, data)
}

// parseJSON reads a JSON object as a tree with positions. YAML would take most JSON too, but also what is none, and it
// would say of a mistake what is wrong with it as YAML.
func parseJSON(file string, data []byte) (*report, *yaml.Node) {
	r := &report{file: file}
	text, problem := cleanText(data)
	r.lines = strings.Split(text, "\n")
	if problem != nil {
		r.add(*problem)
		return r, nil
	}
	p := &jsonParser{report: r, text: text}
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		p.syntax(err)
		return r, nil
	}
	p.decoder = json.NewDecoder(strings.NewReader(text))
	p.decoder.UseNumber()
	top := p.value(nil, 1)
	switch {
	case p.refused:
		return r, nil
	case top.Kind != yaml.MappingNode:
		r.add(Problem{Line: top.Line, Column: top.Column, Message: "the file must be a JSON object, found " + describe(top), Remedy: `write {"key": "value"}`})
		return r, nil
	}
	return r, top
}

type jsonParser struct {
	*report
	text    string
	decoder *json.Decoder
	// last is the offset, line and start of line up to which lines were counted.
	last, line, start int
	refused           bool
}

// syntax reports what the decoder stumbled over.
func (p *jsonParser) syntax(err error) {
	var syntax *json.SyntaxError
	at := len(p.text)
	if errors.As(err, &syntax) {
		// The offset is behind the character that does not fit.
		at = max(0, int(syntax.Offset)-1)
	}
	message := err.Error()
	if message == "unexpected end of JSON input" {
		at = len(strings.TrimRight(p.text, " \t\n"))
		message = "the file ends too early"
	}
	line, column := p.position(at)
	p.add(Problem{Line: line, Column: column, Message: "is not valid JSON: " + message,
		Remedy: "look for a comma, a quotation mark or a bracket that is missing or one too many here or just before"})
}

// position counts on from where it was asked last, so that it takes the whole file once.
func (p *jsonParser) position(at int) (line, column int) {
	if p.line == 0 || at < p.last {
		p.last, p.line, p.start = 0, 1, 0
	}
	for i := p.last; i < at && i < len(p.text); i++ {
		if p.text[i] == '\n' {
			p.line, p.start = p.line+1, i+1
		}
	}
	p.last = at
	return p.line, 1 + utf8.RuneCountInString(p.text[p.start:at])
}

// value reads the next value. The text is known to be JSON.
func (p *jsonParser) value(way *trail, depth int) *yaml.Node {
	at := int(p.decoder.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\n\r,:", p.text[at]) >= 0 {
		at++
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	n.Line, n.Column = p.position(at)
	token, err := p.decoder.Token()
	if err != nil || depth > maxDepth {
		if !p.refused {
			p.refused = true
			p.add(Problem{Line: n.Line, Column: n.Column, Key: way.String(), Message: fmt.Sprintf("values are nested deeper than %d levels", maxDepth), Remedy: "check the brackets: nothing in this file needs so many levels"})
		}
		return n
	}
	switch t := token.(type) {
	case json.Delim:
		p.collection(n, t, way, depth)
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
		if decimal.MatchString(n.Value) {
			n.Tag = "!!int"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

func (p *jsonParser) collection(n *yaml.Node, open json.Delim, way *trail, depth int) {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	seen := map[string]*yaml.Node{}
	for i := 0; p.decoder.More() && !p.refused; i++ {
		if open == '[' {
			n.Content = append(n.Content, p.value(way.item(i), depth+1))
			continue
		}
		key := p.value(way, depth)
		below := way.key(key.Value)
		if first, ok := seen[key.Value]; ok {
			p.refused = true
			p.add(Problem{Line: key.Line, Column: key.Column, Key: below.String(), Remedy: "keep one of the two",
				Message: fmt.Sprintf("the key stands twice: first in line %d, again here", first.Line)})
		}
		seen[key.Value] = key
		n.Content = append(n.Content, key, p.value(below, depth+1))
	}
	if !p.refused {
		_, _ = p.decoder.Token() // the closing bracket; the text is known to be JSON
	}
}
