package show

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
)

const ellipsis = "…"

// Safe makes text from a host fit to be shown: one line of valid UTF-8 in which everything that could move a cursor, hide
// or reorder text is visible as an escape such as \x1b, \n or \u202e. The result takes at most limit columns, and at most
// limit characters; what is cut ends with an ellipsis.
func Safe(s string, limit int) string {
	if limit <= 0 {
		return ""
	}
	var b strings.Builder
	used, cut := 0, 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		piece, width := s[:size], 0
		switch {
		case r == utf8.RuneError && size == 1:
			piece = fmt.Sprintf(`\x%02x`, s[0])
			width = len(piece)
		case strconv.IsPrint(r):
			// A mark without a width of its own counts too, or a tower of them would be one column.
			width = max(1, text.RuneWidth(r))
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			piece = quoted[1 : len(quoted)-1]
			width = len(piece)
		}
		if used+width > limit {
			return b.String()[:cut] + ellipsis
		}
		b.WriteString(piece)
		if used += width; used < limit {
			cut = b.Len()
		}
		s = s[size:]
	}
	return b.String()
}

// safeWord is Safe for a cell that must stay one word: with a space in its name, a host could pretend to be a whole row.
func safeWord(s string, limit int) string {
	return Safe(strings.ReplaceAll(Safe(s, limit), " ", `\x20`), limit)
}

// safeLines is Safe for output of several lines, such as the detail of a check.
func safeLines(s string, lines, limit int) []string {
	var safe []string
	for line := range strings.Lines(strings.TrimRight(s, "\r\n")) {
		if len(safe) == lines {
			return append(safe, ellipsis)
		}
		line = strings.TrimRight(line, "\r\n")
		safe = append(safe, Safe(strings.ReplaceAll(line, "\t", "    "), limit))
	}
	return safe
}
