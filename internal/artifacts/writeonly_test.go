package artifacts_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/artifacts"
	"muster/internal/config"
)

const canaryValue = "canary-Value-1"

// newWriteOnlySite has a writeOnly parameter that only a rule reads.
func newWriteOnlySite(t *testing.T) site {
	s := newSite(t)
	s.edit("demo/bundle.yaml", "    greeting:", "    pin: {type: string, writeOnly: true}\n    db: {type: object, properties: {user: {type: string}, key: {type: string, writeOnly: true}}}\n    greeting:")
	s.edit("demo/bundle.yaml", "packages:\n", "rules: [{assert: ge (len .Param.pin) 8, message: The pin is too short, remedy: Take a longer one., keys: [pin]}]\npackages:\n")
	s.edit("demo/cluster.yaml", "hosts:", "parameters:\n  pin: "+canaryValue+"\n  db: {user: app, key: "+canaryValue+"}\nhosts:")
	return s
}

func TestWriteOnlyParametersAreInNoFileOfAGeneration(t *testing.T) {
	s := newWriteOnlySite(t)
	before := s.generate()
	d, err := zstd.NewReader(nil)
	s.must(err)
	defer d.Close()
	files := 0
	s.must(filepath.WalkDir(s.out(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if plain, err := d.DecodeAll(text, nil); err == nil {
			text = append(text, plain...)
		}
		if bytes.Contains(text, []byte(canaryValue)) {
			t.Errorf("%s holds the value", path)
		}
		return err
	}))
	text, err := os.ReadFile(filepath.Join(s.out(), "config.json"))
	s.must(err)
	for _, want := range []string{`"pin": "` + config.Masked + `"`, `"key": "` + config.Masked + `"`, `"user": "app"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("config.json has no %s:\n%s", want, text)
		}
	}
	if files < 10 {
		t.Errorf("only %d files", files)
	}
	// Whoever knows all other inputs could find a short value by the digest over it.
	tree := list(t, s.out())
	s.edit("demo/cluster.yaml", "pin: "+canaryValue, "pin: another-value")
	if after := s.generate(); after.ConfigID != before.ConfigID {
		t.Error("the config id depends on the value")
	}
	if again := list(t, s.out()); again != tree {
		t.Errorf("the generation depends on the value:\n%s\nwas\n%s", again, tree)
	}
	s.edit("demo/cluster.yaml", "user: app", "user: other")
	if after := s.generate(); after.ConfigID == before.ConfigID {
		t.Error("the config id does not depend on what is beside the value")
	}
}

func TestWriteOnlyParametersAreRefusedInTemplates(t *testing.T) {
	const refused = " is writeOnly in the bundle, so it cannot be used in "
	for name, tt := range map[string]struct {
		spoil func(s site)
		want  string
	}{
		"a file": {func(s site) { s.edit("demo/templates/app.conf.tmpl", "name=", "{{ .Param.pin }}name=") }, "demo/templates/app.conf.tmpl:1:4: parameters.pin" + refused + "a template"},
		"a file that others cannot read": {func(s site) {
			s.edit("demo/bundle.yaml", `mode: "0640"`, `mode: "0600"`)
			s.edit("demo/templates/app.conf.tmpl", "name=", "{{ .Param.db | json }}name=")
		}, "demo/templates/app.conf.tmpl:1:16: parameters.db.key" + refused + "json"},
		"a condition": {func(s site) { s.edit("demo/templates/app.conf.tmpl", "name=", "{{ if .Param.pin }}x{{ end }}name=") }, "parameters.pin" + refused + "an if condition"},
		"a unit": {func(s site) {
			s.edit("demo/units/app.service.tmpl", "[Service]", "[Service]\nEnvironment=A={{ .Param.pin | systemd }}")
		}, "parameters.pin" + refused + "systemd"},
		"an argument": {func(s site) {
			s.edit("demo/bundle.yaml", `port: "{{ .Param.port }}"`, `port: "{{ .Param.pin }}"`)
		}, "checks.port-free.with.port: parameters.pin" + refused + "a template"},
		"a remedy": {func(s site) {
			s.edit("demo/bundle.yaml", "Stop what listens on port {{ .Param.port }}.", "Use {{ .Param.pin }}.")
		}, "checks.port-free.remedy: parameters.pin" + refused + "a template"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWriteOnlySite(t)
			tt.spoil(s)
			_, err := artifacts.Generate(t.Context(), s.load(), s.options())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canaryValue) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if _, err := os.Stat(s.out()); err == nil {
				t.Error("a generation was written")
			}
			// The publisher finds it without a cluster, though only an imagined value shows it.
			found, text := s.lint()
			if found.Err() == nil || !strings.Contains(text, tt.want) || strings.Contains(text, "warning: "+tt.want) {
				t.Errorf("lint finds\n%s\nwant %s", text, tt.want)
			}
		})
	}
}

func TestRulesDoNotShowWriteOnlyParameters(t *testing.T) {
	for name, tt := range map[string]struct{ assert, parameters, want string }{
		"one that does not hold":          {"lt (len .Param.pin) 8", "pin: " + canaryValue, "too short: pin is " + config.Masked + " (line"},
		"one that cannot be evaluated":    {"lt (duration .Param.pin) 8", "pin: " + canaryValue, "the rule cannot be evaluated"},
		"one that prints the value":       {"'{{ .Param.pin }}'", "pin: " + canaryValue, "the rule cannot be evaluated"},
		"one that is wrong for all":       {"lt (len .Param.pni) 8", "pin: " + canaryValue, "unknown parameter .Param.pni"},
		"one about what stands beside it": {"eq .Param.db.user \"a\"", "db: {user: b, key: " + canaryValue + "}", "too short: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWriteOnlySite(t)
			s.edit("demo/bundle.yaml", "assert: ge (len .Param.pin) 8", "assert: "+tt.assert)
			s.edit("demo/bundle.yaml", "The pin is too short", "too short")
			s.edit("demo/cluster.yaml", "pin: "+canaryValue+"\n  db: {user: app, key: "+canaryValue+"}", "pin: "+canaryValue)
			s.edit("demo/cluster.yaml", "pin: "+canaryValue, tt.parameters)
			if !strings.Contains(tt.parameters, "pin") {
				s.edit("demo/bundle.yaml", "keys: [pin]", "keys: [db.user]")
			}
			err := artifacts.Check(t.Context(), s.load(), artifacts.Options{})
			if err == nil {
				t.Fatal("no error")
			}
			var shown strings.Builder
			s.must(err.(config.Problems).Render(&shown))
			if !strings.Contains(shown.String(), tt.want) || strings.Contains(shown.String(), canaryValue) {
				t.Errorf("shown is\n%s\nwant %s", shown.String(), tt.want)
			}
		})
	}
}
