package checks

import (
	"fmt"
	"strconv"
	"strings"
)

// version is the numbers with which a version text begins.
type version []int

// parseVersion reads 5.14.0-427.el9.x86_64 as 5.14.0. What follows the numbers has no order that all agree on.
func parseVersion(s string) (version, error) {
	var v version
	for part := range strings.SplitSeq(s, ".") {
		digits := 0
		for digits < len(part) && part[digits] >= '0' && part[digits] <= '9' {
			digits++
		}
		n, err := strconv.Atoi(part[:digits])
		if err != nil {
			break
		}
		v = append(v, n)
		if digits < len(part) {
			break
		}
	}
	if len(v) == 0 {
		return nil, fmt.Errorf("%.40q is not a version such as 5.14", s)
	}
	return v, nil
}

// less compares number by number; a missing one is 0.
func (v version) less(w version) bool {
	for i := range max(len(v), len(w)) {
		if a, b := v.at(i), w.at(i); a != b {
			return a < b
		}
	}
	return false
}

func (v version) at(i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}
