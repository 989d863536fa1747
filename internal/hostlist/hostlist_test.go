package hostlist_test

import (
	"slices"
	"strings"
	"testing"

	"muster/internal/hostlist"
)

func TestExpand(t *testing.T) {
	for name, test := range map[string]struct{ pattern, want string }{
		"a name stands for itself":            {"db1.example.com", "db1.example.com"},
		"an address range":                    {"10.0.0.[9-11]", "10.0.0.9 10.0.0.10 10.0.0.11"},
		"letters":                             {"rack1-[a-c]", "rack1-a rack1-b rack1-c"},
		"capital letters":                     {"[X-Z]", "X Y Z"},
		"leading zeros are kept":              {"node[08-11].example.com", "node08.example.com node09.example.com node10.example.com node11.example.com"},
		"zero to nine has no leading zero":    {"n[0-2]", "n0 n1 n2"},
		"several brackets, the last fastest":  {"r[1-2]-[a-b]x", "r1-ax r1-bx r2-ax r2-bx"},
		"lists and ranges in one bracket":     {"n[1-2,7,09]", "n1 n2 n7 n09"},
		"one of one":                          {"n[5-5]", "n5"},
		"an IPv6 address without brackets":    {"fd00::[1-2]", "fd00::1 fd00::2"},
		"nothing stands for one empty name":   {"", ""},
		"brackets next to each other":         {"[a-b][1-2]", "a1 a2 b1 b2"},
		"a hyphen outside a bracket is plain": {"web-1-4", "web-1-4"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := hostlist.Expand(test.pattern)
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestWhatIsNoRangeIsExplained(t *testing.T) {
	for pattern, want := range map[string]string{
		"n[5-1]":                "n[5-1]: the range 5-1 ends before it begins",
		"n[c-a]":                "n[c-a]: the range c-a ends before it begins",
		"n[1-3":                 "n[1-3: the [ is not closed",
		"n1-3]":                 "n1-3]: a ] without a [",
		"n[]":                   "n[]: [] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"n[1-c]":                "n[1-c]: [1-c] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"n[a-C]":                "n[a-C]: [a-C] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"n[1-2-3]":              "n[1-2-3]: [1-2-3] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"n[1,]":                 "n[1,]: [] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"n[01-100]":             "n[01-100]: the range 01-100 has leading zeros, so both ends need as many digits",
		"n[0-999999]":           "n[0-999999]: the range 0-999999 is more than 100000 hosts",
		"n[1-9999][1-9999]":     "n[1-9999][1-9999]: more than 100000 hosts",
		"n[1-60000,1-60000]":    "n[1-60000,1-60000]: more than 100000 hosts",
		"[fd00::1]":             "[fd00::1]: [fd00::1] is not a range; an IPv6 address is written without brackets",
		"n[1-99999999999999]":   "n[1-99999999999999]: [1-99999999999999] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"n[[1-2]]":              "n[[1-2]]: [[1-2] is not a range: write two numbers or two letters, such as [1-50] or [a-c]",
		"10.0.[0-1000].[0-255]": "10.0.[0-1000].[0-255]: more than 100000 hosts",
	} {
		got, err := hostlist.Expand(pattern)
		if got != nil || err == nil || err.Error() != want {
			t.Errorf("%s: %d names, %v; want %s", pattern, len(got), err, want)
		}
	}
}

func TestSplitLeavesBracketsWhole(t *testing.T) {
	for list, want := range map[string][]string{
		"a,b":            {"a", "b"},
		"n[1,3-4],m[a]":  {"n[1,3-4]", "m[a]"},
		"":               {""},
		"a,":             {"a", ""},
		"n[1,2":          {"n[1,2"},
		"x],y":           {"x]", "y"},
		"n[1][2,3],n[4]": {"n[1][2,3]", "n[4]"},
	} {
		if got := hostlist.Split(list); !slices.Equal(got, want) {
			t.Errorf("%q is split into %q, want %q", list, got, want)
		}
	}
}
