package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// concealment is what the problems of a file must not show: it would reach terminals and the logs of builds.
type concealment struct {
	// sections are those whose lines are not shown. They are found by their text, because that must work in a file that is
	// not valid YAML, too.
	sections []section
	// schema tells which values of the parameters below top are secret; nil when that is not known, or none is.
	schema *schemaText
	top    *yaml.Node
}

type section struct {
	key    string
	begins *regexp.Regexp
}

func sectionOf(key string) section {
	return section{key, regexp.MustCompile(`(^|[{,\s])["']?` + key + `["']?\s*:`)}
}

var secretsSection, parametersSection = sectionOf("secrets"), sectionOf("parameters")

// conceal keeps out of all messages what somebody may have written below secrets, and the parameters that the bundle
// marks as secret. top is nil when the text cannot be read, the bundle when it is not known: then all parameters may be.
func (r *report) conceal(b *Bundle, top *yaml.Node) {
	r.concealed.sections = []section{secretsSection}
	switch {
	case b == nil, top == nil && b.marksSecrets():
		r.concealed.sections = append(r.concealed.sections, parametersSection)
	case b.marksSecrets():
		r.concealed.schema, r.concealed.top = &schemaText{raw: b.Schema}, top
	}
}

// concealUnread is conceal for a text that cannot be read; dir is where its file lies.
func (r *report) concealUnread(dir string) { r.conceal(bundleNamed(r.lines, dir), nil) }

// namesBundle finds the key bundle in a text that is not valid YAML.
var namesBundle = regexp.MustCompile(`^\s*["']?bundle["']?\s*:\s*["']?([^"'#]+)`)

// bundleNamed reads the bundle that a text names which cannot be read as a whole; nil if there is none.
func bundleNamed(lines []string, dir string) *Bundle {
	for _, text := range lines {
		found := namesBundle.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(strings.TrimSpace(found[1])))
		if _, err := os.Stat(path); err != nil {
			return nil
		}
		if b, _ := ReadBundle(path); b != nil {
			return b.Bundle
		}
		return nil
	}
	return nil
}

// hide takes what is concealed from the problems.
func (r *report) hide() {
	if len(r.problems) == 0 {
		return
	}
	for _, section := range r.concealed.sections {
		r.hideSection(section)
	}
	if r.concealed.schema != nil {
		r.problems = r.concealed.schema.hideSecrets(r.concealed.top, r.problems)
	}
}

// marked are words that YAML takes for more than text. A password may look like that, and messages repeat them.
var marked = regexp.MustCompile(`([*&!])[^\s]+`)

func (r *report) hideSection(s section) {
	hidden := make([]bool, len(r.lines)+1)
	inside := false
	for i, text := range r.lines {
		switch {
		case strings.Contains(text, s.key) && s.begins.MatchString(text):
			inside = true
		case inside && text != "" && !strings.ContainsRune(" \t#-\"'}]", rune(text[0])):
			inside = false
		}
		hidden[i+1] = inside
	}
	for i := range r.problems {
		if p := &r.problems[i]; p.Line < len(hidden) && hidden[p.Line] {
			p.Source = ""
			p.Message = marked.ReplaceAllString(p.Message, "${1}"+Masked)
		}
	}
}

// leastTelling is the shortest text that is looked for in messages: a shorter one is in any of them by accident.
const leastTelling = 4

// hideSecrets takes the values of secret parameters out of problems: a message repeats the value, and the offending
// line is one that may hold another's.
func (s *schemaText) hideSecrets(top *yaml.Node, problems Problems) Problems {
	_, parameters := childNode(top, "parameters")
	if parameters == nil || len(problems) == 0 {
		return problems
	}
	type span struct {
		key         string
		first, last int
		declared    bool
	}
	var spans []span
	var texts []string
	s.eachSecret(parameters, (*trail)(nil).key("parameters"), func(n *yaml.Node, way *trail, declared bool) {
		spans = append(spans, span{way.String(), n.Line, lastLine(n), declared})
		if declared {
			texts = appendScalars(texts, n)
		}
	})
	if len(spans) == 0 {
		return problems
	}
	words := slices.Clone(texts)
	for _, text := range texts {
		// A value of several lines is in the file as its words.
		words = append(words, strings.Fields(text)...)
	}
	texts, words = telling(texts), telling(words)
	out := slices.Clone(problems)
	for i := range out {
		p := &out[i]
		within := func(text string) bool { return strings.Contains(p.Source, text) }
		if slices.ContainsFunc(spans, func(s span) bool { return s.first <= p.Line && p.Line <= s.last }) || slices.ContainsFunc(words, within) {
			p.Source = ""
		}
		for _, secret := range spans {
			if secret.declared && (p.Key == secret.key || strings.HasPrefix(p.Key, secret.key+".") || strings.HasPrefix(p.Key, secret.key+"[")) {
				p.Message = "is not valid; the value is not shown because the bundle marks it as secret"
				p.Remedy = "correct it; `coordinator config explain " + secret.key + "` says what is allowed"
			}
		}
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(p.Message+"\n"+p.Remedy, text) }) {
			p.Message = "is not valid; what is wrong is not shown because it repeats a value that the bundle marks as secret"
			p.Remedy = "`coordinator config explain` says what is allowed"
		}
	}
	return out
}

// telling are the texts that are long enough to be looked for, each as it is and in quotes.
func telling(texts []string) []string {
	var out []string
	for _, text := range texts {
		if len(text) < leastTelling {
			continue
		}
		out = append(out, text)
		if q := strconv.Quote(text); q[1:len(q)-1] != text {
			out = append(out, q[1:len(q)-1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func appendScalars(texts []string, n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return append(texts, n.Value)
	}
	for i, below := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			texts = appendScalars(texts, below)
		}
	}
	return texts
}

// marksSecrets says whether any parameter of the bundle may be secret.
func (b *Bundle) marksSecrets() bool { return (&schemaText{raw: b.Schema}).top().holdsSecret() }

// Conceal gives a copy of a cluster's parameters in which with("parameters.x") stands for each value that the bundle marks as
// secret. What is not set stays so.
func (b *Bundle) Conceal(parameters map[string]any, with func(key string) any) map[string]any {
	if !b.marksSecrets() {
		return parameters
	}
	top := []view{(&schemaText{raw: b.Schema}).top()}
	out := make(map[string]any, len(parameters))
	for name, v := range parameters {
		way := (*trail)(nil).key("parameters").key(name)
		if v != nil && anySecret(top) {
			out[name] = with(way.String())
			continue
		}
		out[name] = concealBelow(children(top, name, false), v, way, with)
	}
	return out
}

// HideSecrets takes the values of secret parameters out of problems with a cluster.yaml, whose text that is.
func (b *Bundle) HideSecrets(text []byte, problems Problems) Problems {
	if !b.marksSecrets() {
		return problems
	}
	_, top := parse("", text)
	return (&schemaText{raw: b.Schema}).hideSecrets(top, problems)
}
