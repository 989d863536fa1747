package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// JSON is one line. What a terminal could obey or hide is escaped, which JSON's own rules do for the oldest control
// characters only; a reader of JSON gets every byte back.
func JSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return escape(strings.TrimSuffix(b.String(), "\n"), func(r rune) string {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	}), nil
}

// YAML is the same for people, with the keys in order.
func YAML(v any) (string, error) {
	node, err := tree(v)
	if err != nil {
		return "", err
	}
	b, err := yaml.Marshal(node)
	if err != nil {
		return "", err
	}
	// Text with such characters is in double quotes, where these escapes hold.
	return escape(string(b), func(r rune) string { return fmt.Sprintf(`\U%08x`, r) }), nil
}

// escape replaces what is not printable, except for the line breaks of the notation.
func escape(s string, how func(rune) string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			b.WriteString(how(r))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func hidden(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }

// tree turns plain values into nodes, because only nodes let the quotes be chosen.
func tree(v any) (*yaml.Node, error) {
	switch v := v.(type) {
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			value, err := tree(v[key])
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, textNode(key), value)
		}
		return node, nil
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			value, err := tree(item)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, value)
		}
		return node, nil
	case string:
		return textNode(v), nil
	}
	node := new(yaml.Node)
	return node, node.Encode(v)
}

func textNode(s string) *yaml.Node {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}
