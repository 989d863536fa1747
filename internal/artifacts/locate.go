package artifacts

import (
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/config"
)

// locator finds where something stands in bundle.yaml: short templates are written there, and their mistakes have to
// be found there.
type locator struct {
	file string
	text string
	root *yaml.Node
}

func newLocator(file, text string) locator {
	l := locator{file: file, text: text}
	var doc yaml.Node
	// Package config has accepted the text already; if it changed since, positions are left out.
	if yaml.Unmarshal([]byte(text), &doc) == nil && len(doc.Content) == 1 {
		l.root = doc.Content[0]
	}
	return l
}

// find gives a problem with the place of a key and without a message: that of a short value, or of the key itself.
func (l locator) find(keys ...string) config.Problem {
	p := config.Problem{File: l.file, Key: way(keys)}
	var name *yaml.Node
	value := l.root
	for _, key := range keys {
		if name, value = child(value, key); value == nil {
			return p
		}
	}
	if value.Kind == yaml.ScalarNode && value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		name = value
	}
	p.Line, p.Column, p.Source = name.Line, name.Column, line(l.text, name.Line)
	return p
}

// plainKey is a key that needs no quotes.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// way writes keys as config does: rules[0].assert.
func way(keys []string) string {
	var b strings.Builder
	for i, key := range keys {
		_, err := strconv.Atoi(key)
		switch {
		case err == nil && i > 0:
			b.WriteString("[" + key + "]")
		case !plainKey.MatchString(key):
			b.WriteString("[" + strconv.Quote(key) + "]")
		case i > 0:
			b.WriteString("." + key)
		default:
			b.WriteString(key)
		}
	}
	return b.String()
}

func child(n *yaml.Node, key string) (name, value *yaml.Node) {
	if n != nil && n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(key); err == nil && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}
