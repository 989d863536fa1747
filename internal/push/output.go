package push

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	// maxKept is how much of a host's output is kept for messages.
	maxKept = 8 << 10
	// maxOutput is how much a host may print before the push to it is given up. A chatty login shell stays far below.
	maxOutput = 256 << 10
	// maxLine is where a line without an end is cut.
	maxLine = 4 << 10
	// replyPrefix marks the script's own lines.
	replyPrefix = "muster-push: "
)

var errTooMuchOutput = errors.New("the host prints without end")

// transcript keeps the last of what a host printed, and counts all of it.
type transcript struct {
	// secret is never quoted, should a host echo it.
	secret Secret

	mu    sync.Mutex
	kept  []byte
	total int64
}

// count adds to the total of all streams and says if that is still acceptable.
func (t *transcript) count(n int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += int64(n)
	if t.total > maxOutput {
		return errTooMuchOutput
	}
	return nil
}

func (t *transcript) keep(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - maxKept; extra > 0 {
		// The line that is cut goes as a whole: half a secret can't be recognised.
		if end := bytes.IndexByte(t.kept[extra:], '\n'); end >= 0 && len(t.secret) > 0 {
			extra += end + 1
		}
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
}

// forget begins anew, so that a message about a later step doesn't quote an earlier one.
func (t *transcript) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = t.kept[:0]
}

// lines returns what is kept, escaped and without empty lines.
func (t *transcript) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	text := string(t.kept)
	if len(t.secret) > 0 {
		text = strings.ReplaceAll(text, string(t.secret), hiddenSecret)
	}
	for line := range strings.Lines(text) {
		if line = printable(strings.TrimSpace(line)); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// tail returns the last lines as one sentence part.
func (t *transcript) tail() string {
	lines := t.lines()
	return shorten(strings.Join(lines[max(0, len(lines)-5):], "; "))
}

func (t *transcript) endsWith(endings []string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := strings.TrimRight(string(t.kept), " ")
	return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(kept, e) })
}

func (t *transcript) contains(words ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range words {
		if strings.Contains(string(t.kept), w) {
			return true
		}
	}
	return false
}

// drain keeps a stream until its end, an error or too much output.
func (t *transcript) drain(r io.Reader) error { return t.watch(r, nil, nil) }

// watch is drain, and calls asked whenever what was printed last ends like a prompt.
func (t *transcript) watch(r io.Reader, prompts []string, asked func()) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		t.keep(buf[:n])
		if asked != nil && n > 0 && t.endsWith(prompts) {
			asked()
		}
		if tooMuch := t.count(n); tooMuch != nil {
			return tooMuch
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// replies finds the script's own lines in a stream; the others go to the transcript.
type replies struct {
	in  *bufio.Reader
	out *transcript
}

func newReplies(r io.Reader, t *transcript) *replies {
	return &replies{in: bufio.NewReaderSize(r, maxLine), out: t}
}

// next returns the words of the script's next line.
func (r *replies) next() ([]string, error) {
	for {
		line, err := r.in.ReadSlice('\n')
		if tooMuch := r.out.count(len(line)); tooMuch != nil {
			return nil, tooMuch
		}
		if words, ok := strings.CutPrefix(string(line), replyPrefix); ok && err == nil {
			if fields := strings.Fields(words); len(fields) > 0 {
				return fields, nil
			}
		}
		r.out.keep(line)
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
	}
}

// printable escapes everything that could drive a terminal or hide text: control and formatting characters, and bytes
// that are no UTF-8.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// shorten keeps a message readable when a host was talkative.
func shorten(s string) string {
	const limit = 1 << 10
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
