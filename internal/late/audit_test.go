package late_test

import (
	"strings"
	"testing"

	"muster/internal/late"
	"muster/internal/manifest"
)

func TestAudit(t *testing.T) {
	marker := late.Marker([32]byte{1})
	table := manifest.LateTable{Marker: marker, Slots: []manifest.Slot{{Ref: "Host.Name"}, {Ref: "Endpoint"}}}
	for text, want := range map[string]string{
		"":                                      "",
		"no placeholder, @late- neither":        "",
		"@late-0123 is too short":               "",
		"a " + marker + "0@ b " + marker + "1@": "",
		"a\n" + marker + "2@":                   "line 2 has a placeholder of slot 2",
		marker + "x@":                           "malformed",
		marker + "01@":                          "malformed",
		marker:                                  "malformed",
		late.Marker([32]byte{2}) + "0@":         "of another generation",
		"@late-" + marker + "5@":                "slot 5",
	} {
		err := late.Audit(table, []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if late.Audit(manifest.LateTable{Marker: "x"}, nil) == nil || late.Audit(manifest.LateTable{Marker: marker, Slots: []manifest.Slot{{Ref: "Host.Shell"}}}, nil) == nil {
		t.Error("a damaged table is accepted")
	}
}
