package render

import (
	"errors"
	"strings"
	"testing"

	"muster/internal/late"
)

func withheldContext() Context {
	return Context{
		Param: map[string]any{
			"password": Withhold("parameters.password"), "port": 80, "unset": nil,
			"db": map[string]any{"user": "app", "key": Withhold("parameters.db.key")}, "list": []any{"a", Withhold("parameters.list[1]")},
		},
		Role: RoleInfo{Name: "master", Count: 1},
	}
}

func TestWhatIsWithheldIsNeverUsed(t *testing.T) {
	for _, c := range []struct{ name, text, place, key, use string }{
		{"printed", "a {{ .Param.password }}", "1:6", "password", "a template"},
		{"printed by index", `{{ index .Param "password" }}`, "1:4", "password", "a template"},
		{"printed by index of two keys", `{{ index .Param "db" "key" }}`, "1:4", "db.key", "a template"},
		{"printed from a list", `{{ index .Param.list 1 }}`, "1:4", "list[1]", "a template"},
		{"printed from a variable", "{{ $x := .Param.password }}{{ $x }}", "1:31", "password", "a template"},
		{"printed in with", "{{ with .Param.db }}{{ .key }}{{ end }}", "1:24", "db.key", "a template"},
		{"printed in range", "{{ range $k, $v := .Param.db }}{{ $v }}{{ end }}", "1:35", "db.key", "a template"},
		{"printed in another template", `{{ define "t" }}{{ . }}{{ end }}{{ template "t" .Param.password }}`, "1:20", "password", "a template"},
		{"encoded", "{{ .Param.password | json }}", "1:22", "password", "json"},
		{"encoded as an argument", "{{ base64 .Param.password }}", "1:11", "password", "base64"},
		{"encoded with what is around it", "{{ .Param.db | yaml }}", "1:16", "db.key", "yaml"},
		{"encoded with all parameters", "{{ json .Param }}", "", "", "json"},
		{"printed with all parameters", `{{ printf "%v" .Param.db }}`, "1:16", "db.key", "printf"},
		{"compared", `{{ if eq .Param.password "a" }}x{{ end }}`, "1:10", "password", "eq"},
		{"compared with what is around it", `{{ if eq .Param.list .Param.list }}x{{ end }}`, "1:10", "list[1]", "eq"},
		{"asked for", "{{ if .Param.password }}x{{ end }}", "1:7", "password", "an if condition"},
		{"asked for with others", "{{ if and .Param.port .Param.password }}x{{ end }}", "1:23", "password", "and"},
		{"counted", "{{ len .Param.password }}", "1:8", "password", "len"},
		{"cut", "{{ slice .Param.password 1 }}", "1:10", "password", "slice"},
		{"called", "{{ call .Param.password }}", "1:9", "password", "call"},
		{"printed by a function of the template language", "{{ html .Param.password }}", "1:9", "password", "html"},
		{"a field of it", "{{ .Param.password.first }}", "1:4", "password", "a template"},
		{"ranged over", "{{ range .Param.password }}x{{ end }}", "1:10", "password", "range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := New(withheldContext(), late.NewSpace(late.Marker([32]byte{}), late.Spec{})).Render("f", []byte(c.text))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%q, error %v", out, err)
			}
			want := "parameters." + c.key + " is writeOnly in the bundle, so it cannot be used in " + c.use + ": what a template makes can be read by everybody"
			if c.key != "" && (e.Message != want || !strings.HasPrefix(err.Error(), "f:"+c.place+":")) {
				t.Errorf("error %v, want at %s: %s", err, c.place, want)
			}
			if !strings.Contains(e.Message, "writeOnly") || !strings.Contains(e.Remedy, ".Secret.") {
				t.Errorf("error %+v", e)
			}
		})
	}
}

func TestWhatIsBesideWhatIsWithheldIsUsedAsBefore(t *testing.T) {
	for text, want := range map[string]string{
		"{{ .Param.port }} {{ .Param.db.user | json }}":              `80 "app"`,
		"{{ len .Param.list }} {{ index .Param.list 0 }}":            "2 a",
		"{{ with .Param.unset }}{{ . }}{{ else }}not set{{ end }}":   "not set",
		"{{ if .Param.db }}x{{ end }}{{ with .Param.db }}y{{ end }}": "xy",
		"{{ .Param.unset | json }}":                                  "null",
	} {
		out, err := New(withheldContext(), late.NewSpace(late.Marker([32]byte{}), late.Spec{})).Render("f", []byte(text))
		if err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", text, out, err, want)
		}
	}
}
