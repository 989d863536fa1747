package checks

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteUnits are the units of ParseBytes, the larger before the smaller and the binary before the decimal.
var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1},
}

// ParseBytes reads a number of bytes such as 512MiB, 1.5GiB, 10GB or 4096.
func ParseBytes(s string) (int64, error) {
	number, size := s, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, size = strings.TrimSpace(n), u.size
			break
		}
	}
	bad := fmt.Errorf("%.40q is not a number of bytes such as 512MiB, 1.5GiB or 10GB", s)
	if number == "" || strings.Trim(number, "0123456789.") != "" {
		return 0, bad
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/size {
			return 0, bad
		}
		return n * size, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(size) >= math.MaxInt64 {
		return 0, bad
	}
	return int64(f * float64(size)), nil
}

// FormatBytes writes a number of bytes for people.
func FormatBytes(n int64) string {
	for _, u := range byteUnits {
		if strings.HasSuffix(u.name, "iB") && n >= u.size {
			return strconv.FormatFloat(math.Floor(float64(n)/float64(u.size)*10)/10, 'f', -1, 64) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}
