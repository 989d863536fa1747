package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func toolsUses(t *testing.T, s *Site) []Use {
	t.Helper()
	uses, problems := s.Source.Uses(func(path string) ([]byte, error) {
		return os.ReadFile(filepath.Join("testdata", "tools", path))
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return uses
}

func TestTableOfKeys(t *testing.T) {
	var b bytes.Buffer
	if err := RenderKeys(&b, toolsSite(t).Keys()); err != nil {
		t.Fatal(err)
	}
	golden(t, "keys.txt", b.String())
}

// Everything about everything, with all uses.
func TestEveryKeyIsExplained(t *testing.T) {
	s := toolsSite(t)
	uses := toolsUses(t, s)
	var b bytes.Buffer
	keys := []string{"hosts[1].address", "hosts[0].labels", "address", "roles.agent.select"}
	for _, e := range s.Keys() {
		keys = append(keys, e.Key)
	}
	for _, key := range keys {
		found, near := s.Explain(key, uses)
		if len(found) == 0 {
			t.Errorf("%s is not explained; near is %q", key, near)
		}
		for _, e := range found {
			if err := e.Render(&b); err != nil {
				t.Fatal(err)
			}
		}
		b.WriteString("\n")
	}
	golden(t, "explain.txt", b.String())
}

func TestNamesOfKeys(t *testing.T) {
	s := toolsSite(t)
	tests := []struct{ key, found, near string }{
		{"port", "parameters.port", ""},
		{"parameters.port", "parameters.port", ""},
		{"ssh", "ssh.user ssh.port", ""},
		{"cache", "parameters.cache.size parameters.cache.ttl", ""},
		{"prot", "", "port"},
		{"parameters.prot", "", "parameters.port"},
		{"clutser", "", "cluster"},
		{"hosts[7].address", "", ""},
		{"hosts[0].adress", "", ""},
		{"roles.nobody.count", "", ""},
		{"roles.agent.count", "", ""},
		{"", "", ""},
		{"\x1b[31m", "", ""},
	}
	for _, tt := range tests {
		found, near := s.Explain(tt.key, nil)
		var keys []string
		for _, e := range found {
			keys = append(keys, e.Key)
		}
		if got := strings.Join(keys, " "); got != tt.found || tt.near != "" && near != tt.near {
			t.Errorf("%q: found %q, near %q", tt.key, got, near)
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	s := toolsSite(t)
	text, err := json.Marshal(s.Keys())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("correct horse")) || bytes.Contains(text, []byte("sesame")) || !bytes.Contains(text, []byte(Masked)) {
		t.Errorf("%s", text)
	}
}

func TestUses(t *testing.T) {
	tests := []struct{ name, template, want string }{
		{"a field", "{{ .Param.a }}", "Param.a:1"},
		{"lines", "\n\n{{ .Param.a }} {{ .Param.b }}\n{{ .Param.a }}", "Param.a:3 Param.b:3 Param.a:4"},
		{"a function", "{{ printf \"%d\" .Param.a | json }}", "Param.a:1"},
		{"inside of with", "{{ with .Param.a }}{{ .b }}{{ else }}{{ .Param.c }}{{ end }}", "Param.a:1 Param.c:1 Param.a.b:1"},
		{"inside of range", "{{ range .Param.a }}{{ .b }}{{ $.Param.c }}{{ end }}", "Param.a:1 Param.c:1"},
		{"a variable", "{{ $x := .Param.a }}{{ $x.b }}", "Param.a:1 Param.a.b:1"},
		{"the whole of the parameters in a variable", "{{ $x := .Param }}{{ $x.b }}", "Param.b:1"},
		{"the whole of the parameters", "{{ .Param | json }}", "Param:1"},
		{"index", `{{ index .Param "a-b" "c" }}{{ index .Param.l 0 }}`, "Param.a-b.c:1 Param.l:1"},
		{"parentheses", "{{ (.Param.a).b }}", "Param.a:1 Param.a.b:1"},
		{"another template", `{{ template "t" .Param.a }}{{ define "t" }}{{ .b }}{{ end }}`, "Param.a:1 Param.a.b:1"},
		{"a template that includes itself", `{{ define "t" }}{{ .Param.a }}{{ template "t" . }}{{ end }}{{ template "t" . }}`, "Param.a:1"},
		{"conditions", "{{ if and .Param.a (not .Param.b) }}{{ end }}", "Param.a:1 Param.b:1"},
		{"others", "{{ .Cluster.Root }}{{ .Endpoint }}{{ (index .Roster.master 0).Name }}", "Cluster.Root:1 Endpoint:1 Roster.master:1"},
		{"a variable that is set again", "{{ $x := 1 }}{{ if true }}{{ $x = .Param.a }}{{ end }}", "Param.a:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, problems := ParseBundleText(bundleFile, []byte(bundleRest+"files: {etc/a: {template: a}}\n"))
			if b == nil {
				t.Fatal(problems)
			}
			uses, problems := b.Uses(func(string) ([]byte, error) { return []byte(tt.template), nil })
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			var got []string
			for _, u := range uses {
				got = append(got, strings.Join(u.path, ".")+":"+strings.TrimPrefix(u.Place.String(), "a:"))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestTemplatesThatCannotBeReadAreNamed(t *testing.T) {
	b := toolsBundle(t)
	_, problems := b.Uses(func(path string) ([]byte, error) {
		if strings.Contains(path, "agent") {
			return []byte("{{ if }}"), nil
		}
		return nil, os.ErrNotExist
	})
	if len(problems) != 4 || problems.Err() != nil {
		t.Errorf("%v", problems)
	}
}
