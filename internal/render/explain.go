package render

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"muster/internal/late"
)

// builtins are the template language's own functions, for suggestions.
var builtins = []string{
	"and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
	"println", "slice", "urlquery",
}

var (
	parsePlace = regexp.MustCompile(`(?s)^template: ` + rootName + `:(\d+): (.*)$`)
	execPlace  = regexp.MustCompile(`(?s)^template: ` + rootName + `:(\d+):(\d+): executing (.*)$`)
	otherPlace = regexp.MustCompile(rootName + `:(\d+)(:\d+)?`)
	quotedWord = regexp.MustCompile(`"([^"]+)"|<([^<>]+)>|'([^']+)'`)
	// inserted is what rewrite adds to an expression that a message repeats.
	inserted = regexp.MustCompile(` \| muster\w+ "[^"]*"`)
)

// parseError finds the place in the text of a parser's error, and better words for the common ones.
func (x *execution) parseError(err error) *Error {
	found := parsePlace.FindStringSubmatch(err.Error())
	if found == nil {
		return &Error{File: x.file, Message: err.Error(), Remedy: "correct the template"}
	}
	line, _ := strconv.Atoi(found[1])
	message := otherPlace.ReplaceAllString(found[2], "line $1")
	e := &Error{File: x.file, Line: line, Message: message, Remedy: "correct the template; its language is Go's text/template"}
	word := quoted(message)
	e.Column = columnOf(x.line(line), word)
	switch {
	case strings.HasPrefix(message, "function "):
		encoders := slices.Sorted(maps.Keys(x.space.Functions()))
		others := append(slices.Collect(maps.Keys(arithmetic)), builtins...)
		slices.Sort(others)
		e.Message = "unknown function " + strconv.Quote(word) + suggestion("", word, slices.Concat(encoders, others))
		e.Remedy = "the encoders are " + strings.Join(encoders, ", ") + "; the other functions are " + strings.Join(others, ", ")
	case message == "unexpected EOF":
		e.Message = "the template ends inside of {{ if }}, {{ with }}, {{ range }}, {{ define }} or {{ block }}"
		e.Remedy = "close each of them with {{ end }}"
	case strings.HasPrefix(message, "unexpected {{end}}"):
		e.Message = "{{ end }} without anything to close"
		e.Remedy = "remove it, or open what it was to close with {{ if }}, {{ with }} or {{ range }}"
	case strings.HasPrefix(message, "bad character U+002D"):
		e.Remedy = `a name with a hyphen needs index, as in {{ index .Roster "public-agent" }}`
	case strings.HasPrefix(message, "undefined variable"):
		e.Message = "unknown variable " + strconv.Quote(word)
		e.Remedy = "declare it in the same {{ if }}, {{ with }}, {{ range }} or outside of it: {{ " + word + " := … }}"
	}
	return e
}

// quoted gives the first word that a message has in quotes.
func quoted(message string) string {
	q := quotedWord.FindStringSubmatch(message)
	if q == nil {
		return ""
	}
	return q[1] + q[2] + q[3]
}

// columnOf guesses where in a line a parser's error is, which gives no column: at the word that it quotes, or else at
// the first action.
func columnOf(line, word string) int {
	at := strings.Index(line, "{{")
	if word != "" && strings.Count(line, word) == 1 {
		at = strings.Index(line, word)
	}
	return 1 + len([]rune(line[:max(at, 0)]))
}

func (x *execution) line(n int) string {
	lines := strings.SplitN(x.text, "\n", n+1)
	if n < 1 || n > len(lines) {
		return ""
	}
	return lines[n-1]
}

// execError finds the place in the text of an execution's error. The words are ours when a check of this package
// failed, and translated otherwise.
func (x *execution) execError(err error) *Error {
	found := execPlace.FindStringSubmatch(err.Error())
	if found == nil {
		return &Error{File: x.file, Message: otherPlace.ReplaceAllString(err.Error(), "line $1"), Remedy: "correct the template"}
	}
	e := &Error{File: x.file}
	e.Line, _ = strconv.Atoi(found[1])
	bytes, _ := strconv.Atoi(found[2])
	line := x.line(e.Line)
	e.Column = 1 + len([]rune(line[:min(bytes, len(line))]))
	var refused withheldError
	if errors.As(err, &refused) {
		e.Message, e.Remedy, e.Always = refused.Error(), withheldRemedy, true
		return e
	}
	var ours *late.Error
	if errors.As(err, &ours) {
		e.Message, e.Remedy = ours.Message, ours.Remedy
		return e
	}
	node, message := splitExec(inserted.ReplaceAllString(found[3], ""))
	e.Message, e.Remedy = x.translate(node, message)
	return e
}

// fieldMessages are how text/template says that a field cannot be had.
var fieldMessages = []string{"map has no entry for key ", "nil data; no entry for key ", "can't evaluate field ", "nil pointer evaluating "}

// splitExec takes `"name" at <node>: message` apart. The node can hold anything, so the known messages are looked for
// first.
func splitExec(s string) (node, message string) {
	_, s, _ = strings.Cut(s, " at <")
	const end = ">: "
	at := -1
	for _, m := range append([]string{"error calling ", "wrong number of args ", "template \""}, fieldMessages...) {
		at = max(at, strings.LastIndex(s, end+m))
	}
	if at < 0 {
		at = strings.LastIndex(s, end)
	}
	if at < 0 {
		return "", s
	}
	return s[:at], s[at+len(end):]
}

func (x *execution) translate(node, message string) (string, string) {
	for _, m := range fieldMessages {
		if strings.HasPrefix(message, m) {
			return x.explainField(node, message)
		}
	}
	if call, ok := strings.CutPrefix(message, "error calling "); ok {
		if strings.Contains(call, "for comparison") {
			return call, `compare text with text, as in eq .Param.x "5", and numbers with numbers, as in eq .Param.x 5`
		}
		return call, "correct the arguments"
	}
	switch {
	case strings.HasPrefix(message, "wrong number of args"):
		return message, "the last argument may come through a pipe and counts as well"
	case strings.HasPrefix(message, "template ") && strings.HasSuffix(message, " not defined"):
		name := strings.TrimSuffix(strings.TrimPrefix(message, "template "), " not defined")
		return "no template " + name + " is defined in this file", "define it with {{ define " + name + " }} … {{ end }}; templates of other files cannot be included"
	}
	return message, "correct the template; its language is Go's text/template"
}
