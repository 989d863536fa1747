package render

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/late"
)

// FuzzRender looks for templates that break what holds for all: no panic, the same output at every run, errors with a
// place and a remedy, and placeholders that a host can bind.
func FuzzRender(f *testing.F) {
	for _, text := range []string{
		"{{ range $i, $m := .Roster.master }}{{ if $i }},{{ end }}{{ $m.Name | json }}{{ else }}{{ end }}",
		`{{ define "t" }}{{ .Name | base64 | shell }}{{ end }}{{ template "t" .Host }}{{ block "b" . }}{{ .Endpoint }}{{ end }}`,
		`{{ $x := .Host.Name }}{{ with index .Param "db" }}{{ .host }}{{ else with $x }}{{ end }}{{ $x = .Host.Zone }}`,
		`{{ printf "%s %v %p" .Param.name (len .Roster) .Param.list | html }}{{ slice .Param.name 1 2 }}{{ break }}`,
		`{{ if and (eq .Role.Count 3) (not .Param.empty) | or false }}{{ (index .Roster.master 1).Address }}{{ end }}`,
		"{{- /* a */ -}} {{ .Host.Name.String }}{{ range 3 }}{{ . }}{{ continue }}{{ end }}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 10_000 {
			return
		}
		space := testSpace()
		out, err := New(testContext(), space).Render("file", []byte(text))
		again, errAgain := New(testContext(), testSpace()).Render("file", []byte(text))
		if !bytes.Equal(out, again) || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("two runs give %q, %v and %q, %v", out, err, again, errAgain)
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.File != "file" || e.Message == "" || e.Remedy == "" || e.Line < 0 || e.Column < 0 {
				t.Fatalf("error %#v", err)
			}
			return
		}
		bound, err := late.Bind(space.Table(), testValues(), out)
		if err != nil || bytes.Contains(bound, []byte(testMarker)) {
			t.Fatalf("%q binds to %q, %v", out, bound, err)
		}
	})
}

// TestNoDecisionDependsOnALateValue renders templates made of late values and functions, and wants each to fail or to
// give the same bytes whatever the placeholders look like.
func TestNoDecisionDependsOnALateValue(t *testing.T) {
	operand := rapid.SampledFrom([]string{
		".Host.Name", ".Host.Name.String", ".Host", ".Endpoint", ".Roster", ".Roster.master", "(index .Roster.master 0).Zone",
		"(index .Roster.master 1)", "$x", "$", ".Param.name", ".Param.port", ".Param.list", ".Param.db", "1", `"a"`, "nil",
	})
	function := rapid.SampledFrom(append([]string{"json", "yaml", "shell", "systemd", "base64", "urlhost"}, builtins...))
	rapid.Check(t, func(t *rapid.T) {
		a, b, f, g := operand.Draw(t, "a"), operand.Draw(t, "b"), function.Draw(t, "f"), function.Draw(t, "g")
		action := rapid.SampledFrom([]string{
			f + " " + a, f + " " + a + " " + b, a + " | " + f, a + " | " + f + " " + b, f + " (" + g + " " + a + " " + b + ")", a + " | " + g + " | " + f,
		}).Draw(t, "action")
		text := "{{ $x := .Host.Zone }}" + rapid.SampledFrom([]string{
			"{{ " + action + " }}", "{{ if " + action + " }}a{{ else }}b{{ end }}", "{{ with " + action + " }}{{ . }}{{ end }}",
			"{{ range " + action + " }}{{ . }}{{ end }}", "{{ $y := " + action + " }}{{ if $y }}a{{ else }}{{ $y }}{{ end }}",
			`{{ define "t" }}{{ if . }}a{{ end }}{{ . }}{{ end }}{{ template "t" (` + action + ") }}",
		}).Draw(t, "template")
		var bound [2]string
		for i, marker := range []string{testMarker, late.Marker([32]byte{1})} {
			space := late.NewSpace(marker, testSpec)
			out, err := New(testContext(), space).Render("file", []byte(text))
			if err != nil {
				bound[i] = err.Error()
				continue
			}
			all, err := late.Bind(space.Table(), testValues(), out)
			if err != nil {
				t.Fatalf("%s gives %q: %v", text, out, err)
			}
			bound[i] = string(all)
		}
		if bound[0] != bound[1] {
			t.Fatalf("%s gives\n%s\nand\n%s", text, bound[0], bound[1])
		}
	})
}
