package late

import (
	"strings"
	"testing"
)

func call(t *testing.T, s *Space, name string, v any) (any, error) {
	t.Helper()
	f, ok := s.Functions()[name].(func(any) (any, error))
	if !ok {
		t.Fatalf("no function %q", name)
	}
	return f(v)
}

func TestEarlyValuesAreEncodedAtOnce(t *testing.T) {
	list := []any{"a<b", 1, true, nil, map[string]any{"y": 1.5, "x": "z"}}
	for _, c := range []struct {
		name, encoder string
		v             any
		want          string
	}{
		{"text as JSON without escaping for HTML", "json", `a"<b>&`, `"a\"<b>&"`},
		{"a number as JSON", "json", 5, "5"},
		{"a large number without an exponent", "json", 2.1e22, "21000000000000000000000"},
		{"null as JSON", "json", nil, "null"},
		{"a list as JSON", "json", list, `["a<b",1,true,null,{"x":"z","y":1.5}]`},
		{"a list as YAML flow style", "yaml", list, `["a<b",1,true,null,{"x": "z","y": 1.5}]`},
		{"text with YAML's traps", "yaml", "no: \u0085\x7f\n", `"no: \u0085\u007f\n"`},
		{"text as a shell word", "shell", "it's $HOME", `'it'\''s $HOME'`},
		{"a number as a shell word", "shell", 5, "'5'"},
		{"text as a systemd item", "systemd", `a b%h"c"\;` + "\n", `a\x20b%%h\x22c\x22\x5c\x3b\x0a`},
		{"empty text as a systemd item", "systemd", "", `""`},
		{"text as base64", "base64", "a\x00b", "YQBi"},
		{"an IPv6 address in a URL", "urlhost", "fd00::1", "[fd00::1]"},
		{"an IPv4 address in a URL", "urlhost", "10.0.0.1", "10.0.0.1"},
		{"a name in a URL", "urlhost", "example:80", "example:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := call(t, NewSpace(testMarker, everySpec), c.encoder, c.v)
			if err != nil || got != c.want {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestWhatCannotBeEncodedIsRefused(t *testing.T) {
	s := NewSpace(testMarker, everySpec)
	five := s.Host.Name
	five.encode = "json json json json"
	for _, c := range []struct {
		name, encoder string
		v             any
		want          string
	}{
		{"bytes in JSON", "json", "\xff", "a JSON string cannot hold bytes that are not UTF-8; use | base64 and decode it where it is used"},
		{"bytes in a list as YAML", "yaml", []any{"\xff"}, "a YAML string cannot hold bytes that are not UTF-8; use | base64 and decode it where it is used"},
		{"NUL in a shell word", "shell", "a\x00", "a shell word cannot hold a NUL byte; use | base64 and decode it where it is used"},
		{"NUL in a unit", "systemd", "a\x00", "a systemd setting cannot hold a NUL byte; use | base64 and decode it where it is used"},
		{"a noncharacter in a unit", "systemd", "\ufffe", "a systemd setting cannot hold Unicode's noncharacters, such as U+FFFE; use | base64 and decode it where it is used"},
		{
			"a dollar sign in a unit", "systemd", "$HOME",
			"a dollar sign means one thing in Environment= and another in ExecStart=, so | systemd refuses it; " +
				"put the value into a file of the bundle and name it in EnvironmentFile=, or have the program read it from there",
		},
		{"a list as a shell word", "shell", []any{1}, "shell takes text, a number or true and false, not a list; encode each value by itself, inside of {{ range }}"},
		{"null as a shell word", "shell", nil, "shell takes text, a number or true and false, not null; encode each value by itself, inside of {{ range }}"},
		{"an unknown type", "json", struct{}{}, "json cannot encode this kind of value; use text, numbers, lists and maps"},
		{
			"a roster", "json", s.Roster["master"],
			"json takes one late value; this holds .Roster.master[0].Name and more; encode each value by itself, as in {{ range .Roster.master }}{{ .Name | json }}{{ end }}",
		},
		{
			"text that holds a placeholder", "shell", s.Host.Name.String(),
			"shell takes one late value; this holds .Host.Name and more; encode each value by itself, as in {{ .Host.Name | shell }}",
		},
		{"a fifth encoder", "json", five, "too many encoders follow .Host.Name; use at most 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := call(t, s, c.encoder, c.v)
			wantError(t, err, c.want)
		})
	}
	_, err := Encode("x", []string{"rot13"})
	wantError(t, err, `unknown encoder "rot13"; the encoders are json, yaml, shell, systemd, base64, urlhost, url, raw`)
	_, err = Encode(strings.Repeat("x", maxEncoded), []string{"json"})
	wantError(t, err, "a value is longer than 1 MiB when encoded as json; shorten it, or put it into a file of its own")
}
