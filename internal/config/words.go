package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes any text safe for a terminal: what is not visible, from control bytes to marks that turn the
// direction of writing, appears as an escape.
func printable(s string) string {
	if !strings.ContainsFunc(s, invisible) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case invisible(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func invisible(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

func runeLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// quotedLength is how many characters of a wrong value a message repeats.
const quotedLength = 60

// quote gives a value for a message, in quotes, escaped and cut.
func quote(s string) string {
	end := 0
	for n := 0; n < quotedLength && end < len(s); n++ {
		end += runeLen(s[end:])
	}
	if end < len(s) {
		return strconv.Quote(s[:end] + "…")
	}
	return strconv.Quote(s)
}

// choice joins words as in "1, 3 or 5".
func choice[T any](items []T) string { return join(items, "or") }

// join joins words as in "a, b and c".
func join[T any](items []T, last string) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = fmt.Sprint(item)
	}
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
	}
}

// count gives a number with its noun, as in "1 item" or "3 items".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ordinal gives 1st, 2nd, 3rd, 4th.
func ordinal(n int) string {
	suffix := "th"
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}
