package late

import (
	"strings"
	"testing"

	"muster/internal/manifest"
)

func TestValidValues(t *testing.T) {
	if err := Validate(everyValue()); err != nil {
		t.Fatal(err)
	}
	for ref, values := range map[string][]string{
		"Host.Name":                    {"a", "A-1.example.org", "10-0-0-1", strings.Repeat("a", 63)},
		"Host.Address":                 {"10.0.0.1", "fd00::1", "127.0.0.1"},
		"Host.Index":                   {"0", "7", "9999"},
		"Host.Zone":                    {"a", "eu-west-1.a_b"},
		"Roster.public-agent[12].Name": {"x"},
		"Endpoint":                     {"api", "api.example:443", "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]:80"},
	} {
		for _, value := range values {
			if err := Validate(Values{ref: value}); err != nil {
				t.Errorf("%s = %q: %v", ref, value, err)
			}
		}
	}
}

func TestInvalidValues(t *testing.T) {
	for ref, values := range map[string][]string{
		"Host.Name":             {"", "a b", "-a", "a-", "a..b", "a.", "a_b", "ä", "$(id)", "a\n", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"},
		"Host.Address":          {"", "a", "10.0.0.1:80", "10.0.0.01", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "[::1]", "10.0.0.1\n"},
		"Host.Index":            {"", "-1", "+1", "01", "1.0", "10000", "1@", "@", "1e3"},
		"Host.Zone":             {"", "a b", "a/b", testMarker, strings.Repeat("a", 64)},
		"Roster.master[0].Name": {"a;b"},
		"Endpoint":              {"", ":80", "a:", "a:0", "a:65536", "a:080", "http://a", "[10.0.0.1]:80", "[::1", "fd00::1]:80", "a b:80"},
	} {
		for _, value := range values {
			if err := Validate(Values{ref: value}); err == nil {
				t.Errorf("%s = %q is taken for valid", ref, value)
			}
		}
	}
}

func TestUnknownRefs(t *testing.T) {
	for _, ref := range []string{
		"", "Host", "Host.", "Host.Foo", "host.Name", "Roster", "Roster.master", "Roster.master[0]", "Roster.master[].Name",
		"Roster.master[00].Name", "Roster.master[-1].Name", "Roster.[0].Name", "Roster.a b[0].Name", "Roster.master[0].Foo",
		"Roster.master[0].Name.x", "Endpoint.x", "Secret", "Secret.", "Secret.Key", "Secret.a-b", "Secret.1a", "Secret.a.b",
	} {
		if err := Validate(Values{ref: "1"}); err == nil {
			t.Errorf("%q is taken for a ref", ref)
		}
	}
}

func TestValidationSaysWhatIsWrong(t *testing.T) {
	wantError(t, Validate(Values{"Host.Address": "a\x1b[31m"}),
		`late value .Host.Address is "a\x1b[31m", which is not valid; it must be one IP address, without a port or zone`)
	wantError(t, Validate(Values{"Foo": "x"}),
		`unknown late value "Foo"; late values are Host.Name, Host.Address, Host.Index, Host.Zone, Roster.ROLE[N].Name and so on, Endpoint and Secret.NAME`)
}

func TestWhatIsUnknownStaysOut(t *testing.T) {
	v := Values{}
	v.SetRoster("master", []manifest.Member{{Name: "m0", Address: "10.0.0.1", Index: 0}, {Index: 1}})
	want := Values{"Roster.master[0].Name": "m0", "Roster.master[0].Address": "10.0.0.1", "Roster.master[0].Index": "0"}
	if len(v) != len(want) {
		t.Fatalf("values %v, want %v", v, want)
	}
	for ref := range want {
		if v[ref] != want[ref] {
			t.Fatalf("values %v, want %v", v, want)
		}
	}
}
