package late

import (
	"crypto/sha256"
	"strconv"
	"strings"
)

// A placeholder is plain ASCII that survives in any text file and in most quotings of it:
//
//	@late-0123456789abcdef0123456789abcdef-12@
const (
	markerStart  = "@late-"
	markerDigits = 32
	markerEnd    = "-"
	placeholdEnd = '@'
	// slotDigits bounds a slot's number, so that a scan never reads far.
	slotDigits = 5
	// maxSlots keeps every slot's number within slotDigits.
	maxSlots = 10_000
)

// Marker derives what begins every placeholder of a generation from a digest over all its inputs: an input that held
// the marker would have to hold a digest of itself.
func Marker(inputs [32]byte) string {
	// A digest of the digest, so that a config id printed somewhere does not give the marker away.
	sum := sha256.Sum256(append([]byte("muster late marker\n"), inputs[:]...))
	const digits = "0123456789abcdef"
	b := []byte(markerStart)
	for _, c := range sum[:markerDigits/2] {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(append(b, markerEnd...))
}

// validMarker says whether s has the form that Marker gives.
func validMarker(s string) bool {
	digits, ok := strings.CutPrefix(s, markerStart)
	if !ok {
		return false
	}
	digits, ok = strings.CutSuffix(digits, markerEnd)
	return ok && len(digits) == markerDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

func placeholder(marker string, slot int) string {
	return marker + strconv.Itoa(slot) + string(placeholdEnd)
}

// slotNumber reads the number and the end of a placeholder whose marker precedes s, and says how long they are.
// Only the form that placeholder writes counts: no sign, no leading zero.
func slotNumber[T string | []byte](s T) (slot, length int, ok bool) {
	for i := 0; i < len(s) && i <= slotDigits; i++ {
		switch c := s[i]; {
		case c == placeholdEnd:
			return slot, i + 1, i > 0 && (i == 1 || s[0] != '0')
		case c < '0' || c > '9':
			return 0, 0, false
		default:
			slot = slot*10 + int(c-'0')
		}
	}
	return 0, 0, false
}
