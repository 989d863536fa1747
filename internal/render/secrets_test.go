package render

import (
	"strings"
	"testing"

	"muster/internal/late"
)

// secretRenderer is of a role that may read key and not theirs.
func secretRenderer() (*Renderer, *late.Space) {
	spec := testSpec
	spec.Secrets = map[string]bool{"key": true, "theirs": false}
	space := late.NewSpace(testMarker, spec)
	return New(testContext(), space), space
}

func TestSecretsAreBound(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"with an encoder", `{"p": {{ .Secret.key | json }}}`, `{"p": "p\"w"}`},
		{"as it is", "{{ .Secret.key | raw }}", `p"w`},
		{"as it is, quoted", "{{ .Secret.key | raw | shell }}", `'p"w'`},
		{"in a URL", "x:{{ .Secret.key | url }}@h", "x:p%22w@h"},
		{"by index", `{{ index .Secret "key" | base64 }}`, "cCJ3"},
		{"by a variable", `{{ $k := .Secret.key }}{{ $k | raw }}`, `p"w`},
		{"in an included template", `{{ define "t" }}{{ . | raw }}{{ end }}{{ template "t" .Secret.key }}`, `p"w`},
		{"in a range over all", `{{ range .Secret }}{{ . | raw }}{{ end }}`, `p"w`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, space := secretRenderer()
			text, err := r.Render("a.conf", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			values := late.Values{}
			values.SetSecret("key", []byte(`p"w`))
			got, err := late.Bind(space.Table(), values, text)
			if err != nil || string(got) != c.want {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestHowSecretsCannotBeUsed(t *testing.T) {
	const (
		bare     = "secret .Secret.key is printed without an encoder, so its value could change the meaning of the text around it; "
		misuse   = "late value .Secret.key can only be printed, not used in "
		declared = `the bundle declares no secret "kee"; did you mean "key"? declare it under secrets in bundle.yaml, with the roles that may read it; this role may read key`
		denied   = `this role may not read the secret "theirs"; add the role to the secret's roles in bundle.yaml, or use the secret only in files of roles that have it`
	)
	for _, c := range []struct{ name, text, want string }{
		{"without an encoder", "a\nx={{ .Secret.key }}", "a.conf:2:6: " + bare},
		{"without an encoder, by a variable", "{{ $k := .Secret.key }}{{ $k }}", "a.conf:1:27: " + bare},
		{"in a condition", "{{ if .Secret.key }}x{{ end }}", "a.conf:1:7: " + misuse + "an if condition"},
		{"in a comparison", `{{ eq .Secret.key "x" }}`, "a.conf:1:7: " + misuse + "eq"},
		{"its length", "{{ len .Secret.key }}", "a.conf:1:8: " + misuse + "len"},
		{"by printf", `{{ printf "%v" .Secret }}`, "a.conf:1:16: " + misuse + "printf"},
		{"all at once", "{{ .Secret }}", "a.conf:1:4: .Secret is the secrets, not a single value; print them by their names, as in {{ .Secret.key | json }}"},
		{"all at once, encoded", "{{ .Secret | json }}", "a.conf:1:14: json takes one late value; this holds .Secret.key and more; "},
		{"as an address", "{{ .Secret.key | urlhost }}", "a.conf:1:18: .Secret.key is no address, and urlhost would print it as it is; "},
		{"that is not declared", "{{ .Secret.kee | raw }}", "a.conf:1:4: " + declared},
		{"that is not declared, by index", `{{ index .Secret "kee" | raw }}`, "a.conf:1:4: " + declared},
		{"of another role", "{{ .Secret.theirs | raw }}", "a.conf:1:4: " + denied},
		{"of another role, by index", `{{ index .Secret "theirs" | raw }}`, "a.conf:1:4: " + denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := secretRenderer()
			_, err := r.Render("a.conf", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("error\n  %v\nwant\n  %s", err, c.want)
			}
		})
	}
}

func TestWhereSecretsAreWithheld(t *testing.T) {
	r, _ := secretRenderer()
	why := &late.Error{Message: "everybody can read this", Remedy: "close it"}
	for _, c := range []struct {
		name     string
		renderer *Renderer
		want     string
	}{
		{"in what others can read", r.WithoutSecrets(why), "a.conf:1:4: everybody can read this; close it"},
		{"before preflight", r.Preflight(), "a.conf:1:4: .Secret is not known here: a host is given secrets only when it installs, after preflight; make this a postflight check"},
		{"in both", r.Preflight().WithoutSecrets(why), "a.conf:1:4: .Secret is not known here: a host is given secrets only when it installs, after preflight; make this a postflight check"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.renderer.Render("a.conf", []byte("{{ .Secret.key | raw }}"))
			wantError(t, err, c.want)
		})
	}
	if _, err := r.Render("a.conf", []byte("{{ .Secret.key | raw }}")); err != nil {
		t.Fatalf("withholding it elsewhere took it from this one: %v", err)
	}
}
