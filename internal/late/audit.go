package late

import (
	"bytes"

	"muster/internal/manifest"
)

// Audit says whether every placeholder of a text is one that the table lists, without values for any. A placeholder
// with the marker of another generation is an error as well: nothing would ever bind it.
func Audit(t manifest.LateTable, in []byte) error {
	if !validMarker(t.Marker) {
		return damagedTable("its marker is " + quote(t.Marker))
	}
	for _, slot := range t.Slots {
		if _, ok := parseRef(slot.Ref); !ok {
			return unknownRef(slot.Ref)
		}
	}
	start, marker := []byte(markerStart), []byte(t.Marker)
	for rest := in; ; {
		at := bytes.Index(rest, start)
		if at < 0 {
			return nil
		}
		here := rest[at:]
		position := len(in) - len(here)
		rest = here[len(start):]
		if !bytes.HasPrefix(here, marker) {
			if n := len(t.Marker); len(here) >= n && validMarker(string(here[:n])) {
				return &Error{"line " + lineOf(in, position) + " has a placeholder of another generation", tamperedRemedy}
			}
			continue
		}
		slot, _, ok := slotNumber(here[len(marker):])
		if !ok || slot >= len(t.Slots) {
			return placeholderError(in, position, slot, ok)
		}
	}
}
