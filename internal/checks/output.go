package checks

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxOutput is how much of an output is kept, half of it from the beginning and half from the end.
	maxOutput = 4 << 10
	// maxSummary bounds a summary.
	maxSummary = 512
)

// capture keeps the beginning and the end of an output of any length.
type capture struct {
	head, tail []byte
	total      int64
}

func (c *capture) Write(b []byte) (int, error) {
	n := len(b)
	c.total += int64(n)
	take := min(maxOutput/2-len(c.head), n)
	c.head = append(c.head, b[:take]...)
	b = b[take:]
	// One piece may be long: only its end can matter.
	b = b[max(0, len(b)-maxOutput/2):]
	c.tail = append(c.tail, b...)
	if extra := len(c.tail) - maxOutput/2; extra > 0 {
		c.tail = append(c.tail[:0], c.tail[extra:]...)
	}
	return n, nil
}

func (c *capture) String() string {
	left := c.total - int64(len(c.head)+len(c.tail))
	if left == 0 {
		return string(c.head) + string(c.tail)
	}
	return string(c.head) + gap(left) + string(c.tail)
}

func gap(n int64) string { return fmt.Sprintf("\n… %d bytes left out …\n", n) }

// clean makes a text safe to show anywhere: valid UTF-8, no control or invisible characters but line breaks, and not
// too long.
func clean(s string) string {
	var b strings.Builder
	for _, r := range strings.TrimRight(s, "\n") {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r == '\t':
			b.WriteString("    ")
		default:
			// QuoteRune writes an escape that names the character.
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	out := b.String()
	if len(out) <= maxOutput {
		return out
	}
	// Escapes have made it longer.
	const half = maxOutput/2 - 32
	head, tail := half, len(out)-half
	for !utf8.RuneStart(out[head]) {
		head--
	}
	for !utf8.RuneStart(out[tail]) {
		tail++
	}
	return out[:head] + gap(int64(tail-head)) + out[tail:]
}

// summarize makes one line of a text.
func summarize(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(clean(s)), "\n")
	if len(line) <= maxSummary {
		return line
	}
	end := maxSummary - len("…")
	for !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end] + "…"
}
