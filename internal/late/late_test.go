package late

import (
	"crypto/sha256"
	"testing"

	"muster/internal/manifest"
)

// testMarker is that of a generation whose inputs are the word "test".
var testMarker = Marker(sha256.Sum256([]byte("test")))

// everySpec has everything that late values can be of.
var everySpec = Spec{Rosters: map[manifest.Role]int{"master": 2, "store": 1}, Endpoint: true}

// everyValue is a valid value for each ref of everySpec.
func everyValue() Values {
	v := Values{}
	v.SetHost(manifest.Member{Name: "h7.example", Address: "10.0.0.7", Index: 1, Zone: "b"})
	v.SetRoster("master", []manifest.Member{
		{Name: "m0", Address: "10.0.0.10", Index: 0, Zone: "a"},
		{Name: "m1", Address: "fd00::11", Index: 1, Zone: "b"},
	})
	v.SetRoster("store", []manifest.Member{{Name: "s0", Address: "10.0.0.20", Index: 0, Zone: "a"}})
	v.SetEndpoint("api.example:443")
	return v
}

func tableOf(slots ...manifest.Slot) manifest.LateTable {
	return manifest.LateTable{Marker: testMarker, Slots: slots}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if err.Error() != want {
		t.Fatalf("error\n  %s\nwant\n  %s", err, want)
	}
}
