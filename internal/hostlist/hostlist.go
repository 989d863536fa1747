// Package hostlist writes out host ranges such as rack[1-3]-[a-c] or node[01-12].example.com. It knows nothing of what a
// host is: names, addresses and their roles are the caller's.
package hostlist

import (
	"fmt"
	"strconv"
	"strings"
)

// Max is how many names one pattern may stand for: far more than a cluster has, and no more than memory bears.
const Max = 100_000

// Expand returns the names that a pattern stands for, in order, the last bracket running fastest. A bracket holds numbers,
// single letters, and ranges of them, separated by commas: [1-3,7], [a-c]. Leading zeros are kept: [01-12]. A pattern
// without brackets stands for itself. Nothing is expanded if there would be more than Max names.
func Expand(pattern string) ([]string, error) {
	names := []string{""}
	for rest := pattern; rest != ""; {
		before, after, found := strings.Cut(rest, "[")
		if strings.Contains(before, "]") {
			return nil, fmt.Errorf("%s: a ] without a [", pattern)
		}
		if !found {
			return appendEach(names, []string{rest}), nil
		}
		inside, behind, closed := strings.Cut(after, "]")
		if !closed {
			return nil, fmt.Errorf("%s: the [ is not closed", pattern)
		}
		choices, err := expandBracket(inside)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		if len(choices)*len(names) > Max {
			return nil, fmt.Errorf("%s: more than %d hosts", pattern, Max)
		}
		names = appendEach(names, []string{before})
		names = appendEach(names, choices)
		rest = behind
	}
	return names, nil
}

// Split cuts a list at its commas, but not at those in brackets.
func Split(list string) []string {
	var parts []string
	depth, begin := 0, 0
	for i, r := range list {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth <= 0:
			parts, begin = append(parts, list[begin:i]), i+1
		}
	}
	return append(parts, list[begin:])
}

func appendEach(names, ends []string) []string {
	all := make([]string, 0, len(names)*len(ends))
	for _, n := range names {
		for _, e := range ends {
			all = append(all, n+e)
		}
	}
	return all
}

func expandBracket(inside string) ([]string, error) {
	if strings.Contains(inside, ":") {
		return nil, fmt.Errorf("[%s] is not a range; an IPv6 address is written without brackets", inside)
	}
	var all []string
	for item := range strings.SplitSeq(inside, ",") {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		some, err := expandRange(item, first, last)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > Max {
			return nil, fmt.Errorf("more than %d hosts", Max)
		}
	}
	return all, nil
}

func expandRange(item, first, last string) ([]string, error) {
	switch {
	case isNumber(first) && isNumber(last):
		return expandNumbers(item, first, last)
	case isLower(first) && isLower(last), isUpper(first) && isUpper(last):
		if last < first {
			return nil, fmt.Errorf("the range %s ends before it begins", item)
		}
		var all []string
		for c := first[0]; c <= last[0]; c++ {
			all = append(all, string(c))
		}
		return all, nil
	}
	return nil, fmt.Errorf("[%s] is not a range: write two numbers or two letters, such as [1-50] or [a-c]", item)
}

func expandNumbers(item, first, last string) ([]string, error) {
	width := 0
	if padded(first) || padded(last) {
		if len(first) != len(last) {
			return nil, fmt.Errorf("the range %s has leading zeros, so both ends need as many digits", item)
		}
		width = len(first)
	}
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	switch {
	case err1 != nil || err2 != nil || to-from >= Max:
		return nil, fmt.Errorf("the range %s is more than %d hosts", item, Max)
	case to < from:
		return nil, fmt.Errorf("the range %s ends before it begins", item)
	}
	all := make([]string, 0, to-from+1)
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprintf("%0*d", width, n))
	}
	return all, nil
}

func padded(s string) bool { return len(s) > 1 && s[0] == '0' }

// isNumber bounds the digits so that no range overflows.
func isNumber(s string) bool {
	return s != "" && len(s) <= 9 && strings.Trim(s, "0123456789") == ""
}

func isLower(s string) bool { return len(s) == 1 && s[0] >= 'a' && s[0] <= 'z' }
func isUpper(s string) bool { return len(s) == 1 && s[0] >= 'A' && s[0] <= 'Z' }
