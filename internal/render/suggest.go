package render

import "strings"

// suggestion gives `; did you mean "x"?` for the nearest of the known words, or nothing when none is near. The prefix
// is what stands before the word in a template.
func suggestion(prefix, word string, known []string) string {
	const longest = 64
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if len(word) > longest || len(k) > longest {
			continue
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return `; did you mean "` + prefix + best + `"?`
}

// editDistance counts the insertions, deletions and substitutions of bytes that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
