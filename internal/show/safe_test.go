package show

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSafe(t *testing.T) {
	tests := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain text stays", "host1 is done", 40, "host1 is done"},
		{"letters of any language stay", "grün 世界 é", 40, "grün 世界 é"},
		{"an escape sequence becomes visible", "\x1b[2Jhi", 40, `\x1b[2Jhi`},
		{"a line break stays one line", "a\nb\r\tc", 40, `a\nb\r\tc`},
		{"the one-byte CSI of C1 becomes visible", "\u009b31m", 40, `\u009b31m`},
		{"a bidirectional override becomes visible", "\u202egnp", 40, `\u202egnp`},
		{"an invisible separator becomes visible", "a\u200bb\u2028", 40, `a\u200bb\u2028`},
		{"a byte that is no text becomes visible", "a\xff\xc3", 40, `a\xff\xc3`},
		{"what does not fit ends with an ellipsis", "abcdef", 4, "abc…"},
		{"what just fits is whole", "abcd", 4, "abcd"},
		{"an escape is never cut in the middle", "abc\x1bdef", 6, "abc…"},
		{"wide characters count twice", "世界世界", 5, "世界…"},
		{"a tower of marks is bounded", strings.Repeat("\u0301", 9), 3, "\u0301\u0301…"},
		{"no room, no text", "abc", 0, ""},
		{"room for one", "abc", 1, "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Safe(test.in, test.limit); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// harmless fails when text holds what a terminal could obey, hide or reorder.
func harmless(t interface{ Fatalf(string, ...any) }, s, allowed string) {
	if !utf8.ValidString(s) {
		t.Fatalf("not UTF-8: %q", s)
	}
	for _, r := range s {
		if !strconv.IsPrint(r) && !strings.ContainsRune(allowed, r) {
			t.Fatalf("%U survived in %q", r, s)
		}
	}
}

func TestSafeIsHarmlessBoundedAndStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkSafe(t, drawText(t, "text"), rapid.IntRange(-1, 80).Draw(t, "limit")) })
}

func checkSafe(t interface{ Fatalf(string, ...any) }, s string, limit int) {
	got := Safe(s, limit)
	harmless(t, got, "")
	if n := utf8.RuneCountInString(got); n > max(0, limit) {
		t.Fatalf("%d characters, limit %d: %q", n, limit, got)
	}
	if again := Safe(got, limit); again != got {
		t.Fatalf("Safe(%q) = %q", got, again)
	}
	if len(got) > 4*max(0, limit) {
		t.Fatalf("%d bytes, limit %d", len(got), limit)
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("plain", 10)
	f.Add("\x1b]0;x\x07\u202e\xff\u009b", 7)
	f.Fuzz(func(t *testing.T, s string, limit int) { checkSafe(t, s, min(limit, 10_000)) })
}

func TestSafeLines(t *testing.T) {
	got := strings.Join(safeLines("a\tb\r\n\x1b[31mred\n\nlast\nmore\n", 4, 12), "|")
	if want := `a    b|\x1b[31mred||last|…`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := safeLines("", 4, 12); len(got) != 0 {
		t.Errorf("no text gives %q", got)
	}
}
