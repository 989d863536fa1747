package config

import "strings"

// suggestion gives `; did you mean "x"?` for the nearest of the known words, or nothing when none is near.
func suggestion(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return `; did you mean "` + near + `"?`
	}
	return ""
}

// longestWord bounds the work of comparing: no name that Muster knows is longer.
const longestWord = 64

// nearest gives the known word with the smallest edit distance to word, if that is small for its length. A word that is
// only cut short is as near as one with a single slip.
func nearest(word string, known []string) string {
	if len(word) > longestWord {
		return ""
	}
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if len(k) > longestWord || k == "" {
			continue
		}
		d := editDistance(fold(word), fold(k))
		if len(word) >= 3 && strings.HasPrefix(fold(k), fold(word)) {
			d = min(d, 1)
		}
		if d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b.
func editDistance(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
