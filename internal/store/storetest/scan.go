package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/internal/store"
)

// list is what a scan gives, at most limit keys.
func (k kept) list(prefix, after string, limit int) string {
	k.Helper()
	var keys []string
	k.view(func(r store.Reader) error {
		keys = nil
		return r.Scan(prefix, after, func(key string, _ []byte) (bool, error) {
			keys = append(keys, key)
			return len(keys) < limit, nil
		})
	})
	return strings.Join(keys, " ")
}

func testScan(k kept) {
	k.put("h/10", "", "h/2", "", "h/1", "", "h", "", "g/1", "", "i", "", "h0", "", "h/\xff", "", "\xff\xff", "")
	for _, c := range []struct{ prefix, after, want string }{
		{"h/", "", "h/1 h/10 h/2 h/\xff"},
		{"h", "", "h h/1 h/10 h/2 h/\xff h0"},
		{"", "", "g/1 h h/1 h/10 h/2 h/\xff h0 i \xff\xff"},
		{"\xff", "", "\xff\xff"},
		{"x", "", ""},
		{"h/", "h/1", "h/10 h/2 h/\xff"},
		{"h/", "h/11", "h/2 h/\xff"}, // after need not exist
		{"h/", "h/", "h/1 h/10 h/2 h/\xff"},
		{"h", "h", "h/1 h/10 h/2 h/\xff h0"},
		{"h/", "g/1", "h/1 h/10 h/2 h/\xff"}, // nor have the prefix
		{"h/", "h/\xff", ""},
		{"h/", "z", ""},
	} {
		if got := k.list(c.prefix, c.after, 100); got != c.want {
			k.Errorf("prefix %q after %q: %q\nwant %q", c.prefix, c.after, got, c.want)
		}
	}
}

func testPages(k kept) {
	const number = 1000
	var pairs []string
	for i := range number {
		pairs = append(pairs, fmt.Sprintf("h/%04d", i), fmt.Sprint(i))
	}
	k.put(append([]string{"g/9999", "", "i/0000", ""}, pairs...)...)
	var got []string
	after := ""
	for range number {
		keys := strings.Fields(k.list("h/", after, 33))
		if len(keys) == 0 {
			break
		}
		got, after = append(got, keys...), keys[len(keys)-1]
	}
	if len(got) != number || !slices.IsSorted(got) || len(slices.Compact(got)) != number {
		k.Errorf("the pages have %d keys of %d", len(got), number)
	}
}

func testScanEnds(k kept) {
	k.put("a", "1", "b", "2", "c", "3")
	if got := k.list("", "", 2); got != "a b" {
		k.Errorf("after false: %s", got)
	}
	calls := 0
	err := k.View(ctx, func(r store.Reader) error {
		return r.Scan("", "", func(string, []byte) (bool, error) {
			calls++
			return true, errDiscard
		})
	})
	if err != errDiscard || calls != 1 { // as it is means identical
		k.Errorf("after an error: %v, %d calls", err, calls)
	}
}

func testScanInUpdate(k kept) {
	k.put("a", "1", "b", "2", "d", "4")
	k.update(func(w store.Writer) error {
		err := errors.Join(w.Delete("b"), w.Put("c", []byte("3")), w.Put("d", []byte("5")))
		got := ""
		scanErr := w.Scan("", "", func(key string, value []byte) (bool, error) {
			got += key + string(value)
			return true, nil
		})
		if got != "a1c3d5" {
			k.Errorf("got %s", got)
		}
		return errors.Join(err, scanErr)
	})
}
