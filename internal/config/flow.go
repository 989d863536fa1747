package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// flow writes a decoded value in one line of YAML that reads back as the same value, in Muster and elsewhere.
func flow(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return flowText(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = flow(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case []string:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = flowText(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		entries := make([]string, 0, len(v))
		for _, key := range sortedKeys(v) {
			entries = append(entries, flowText(key)+": "+flow(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	case map[string]string:
		entries := make([]string, 0, len(v))
		for _, key := range sortedKeys(v) {
			entries = append(entries, flowText(key)+": "+flowText(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// plainText can stand without quotes anywhere, if YAML takes it for text.
var plainText = regexp.MustCompile(`^[A-Za-z0-9_/.][A-Za-z0-9_/.@+-]*$`)

// otherWords are text to YAML 1.2 and something else to programs that read 1.1.
var otherWords = strings.Fields("y n yes no on off")

func flowText(s string) string {
	if !plainText.MatchString(s) || slices.Contains(otherWords, strings.ToLower(s)) {
		return quoteAll(s)
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(s), &n); err != nil || len(n.Content) != 1 || n.Content[0].Tag != "!!str" || n.Content[0].Value != s {
		return quoteAll(s)
	}
	return s
}

// quoteAll puts text in double quotes; what is not visible becomes an escape that YAML knows.
func quoteAll(s string) string {
	return strconv.Quote(strings.ToValidUTF8(s, "\uFFFD"))
}

// fold breaks text into lines of at most width characters, where it has spaces.
func fold(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for _, word := range strings.Fields(printable(text)) {
		n := len([]rune(word))
		if length > 0 && length+1+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line += " "
			length++
		}
		line += word
		length += n
	}
	if length > 0 {
		lines = append(lines, line)
	}
	return lines
}
