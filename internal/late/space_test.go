package late

import (
	"crypto/sha256"
	"reflect"
	"testing"

	"muster/internal/manifest"
)

func TestMarkersOfDifferentInputsDiffer(t *testing.T) {
	other := Marker(sha256.Sum256([]byte("other")))
	if other == testMarker || !validMarker(other) || !validMarker(testMarker) {
		t.Fatalf("markers %q and %q", testMarker, other)
	}
}

func TestATableHoldsWhatWasPrintedInTheOrderOfPrinting(t *testing.T) {
	s := NewSpace(testMarker, everySpec)
	encoded := func(v Value, names ...string) Value {
		for _, name := range names {
			var err error
			if v, err = v.encoded(name); err != nil {
				t.Fatal(err)
			}
		}
		return v
	}
	for _, v := range []Value{
		s.Roster["master"][1].Address, encoded(s.Host.Name, "base64", "json"), s.Endpoint,
		encoded(s.Host.Name, "json"), s.Roster["master"][1].Address,
	} {
		_ = v.String()
	}
	want := tableOf(
		manifest.Slot{Ref: "Roster.master[1].Address"},
		manifest.Slot{Ref: "Host.Name", Encode: []string{"base64", "json"}},
		manifest.Slot{Ref: "Endpoint"},
		manifest.Slot{Ref: "Host.Name", Encode: []string{"json"}},
	)
	if got := s.Table(); !reflect.DeepEqual(got, want) {
		t.Fatalf("table %+v, want %+v", got, want)
	}
	if got, want := Refs(s.Table()), []string{"Roster.master[1].Address", "Host.Name", "Endpoint"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("refs %q, want %q", got, want)
	}
}

func TestAnUndeclaredEndpointIsTheZeroValue(t *testing.T) {
	s := NewSpace(testMarker, Spec{})
	if (s.Endpoint != Value{}) || s.Endpoint.String() != "" {
		t.Fatalf("endpoint %v", s.Endpoint)
	}
}

func TestLateValuesAreFound(t *testing.T) {
	s := NewSpace(testMarker, everySpec)
	printed := "x " + s.Host.Address.String()
	for _, c := range []struct {
		name        string
		v           any
		ref, within string
	}{
		{"in a late value", s.Endpoint, "Endpoint", "Endpoint"},
		{"in text that holds a placeholder", printed, "Host.Address", "Host.Address"},
		{"in text that holds a part of one", printed[:len(printed)-2], "Host, .Roster, .Endpoint or .Secret", "Host, .Roster, .Endpoint or .Secret"},
		{"not in other text", "@late-", "", ""},
		{"inside of the host", s.Host, "", "Host.Name"},
		{"inside of a member", s.Roster["store"][0], "", "Roster.store[0].Name"},
		{"inside of the roster", s.Roster, "", "Roster.master[0].Name"},
		{"inside of lists and maps", []any{1, map[string]any{"a": []any{printed}}}, "", "Host.Address"},
		{"not in a plain structure", []any{1, map[string]any{"a": "b"}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if ref, found := s.Find(c.v); ref != c.ref || found != (c.ref != "") {
				t.Errorf("Find gives %q, %v, want %q", ref, found, c.ref)
			}
			if ref, found := s.FindWithin(c.v); ref != c.within || found != (c.within != "") {
				t.Errorf("FindWithin gives %q, %v, want %q", ref, found, c.within)
			}
		})
	}
}
