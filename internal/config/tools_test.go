package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// golden compares text with a file of testdata/tools, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "tools", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; -update writes it.\ngot\n%s\nwant\n%s", name, got, want)
	}
}

// toolsBundle reads the bundle of the tools' tests, which has what they treat specially: secrets, nested defaults,
// references, conditions.
func toolsBundle(t testing.TB) *BundleText {
	t.Helper()
	b, problems := ReadBundle(filepath.Join("testdata", "tools", "bundle.yaml"))
	if b == nil {
		t.Fatal(problems)
	}
	return b
}

func toolsSite(t testing.TB) *Site {
	t.Helper()
	s, problems := ReadSite(filepath.Join("testdata", "tools", "cluster.yaml"))
	if s == nil {
		t.Fatal(problems)
	}
	return s
}

func parameterBundle(t interface{ Fatal(...any) }, parameters string) *BundleText {
	b, problems := ParseBundleText(bundleFile, []byte("bundle: 1\nname: app\nversion: \"1\"\nroles: {master: {counts: [1, 3]}, agent: {}}\nparameters: "+parameters+"\n"))
	if b == nil {
		t.Fatal(problems, parameters)
	}
	return b
}

// drawn is a schema with a value that fits it.
type drawn struct {
	schema map[string]any
	sample any
	// samples are those of all properties in it, by their names, which are unique.
	samples map[string]any
}

// drawer makes schemas. Names never repeat, so that a name tells which property a line of output is about.
type drawer struct {
	*rapid.T
	names int
}

var sampleText = rapid.SampledFrom([]string{"abc", "10.0.0.1", "yes", "1", "a: b", "x #y", `q"u'o`, "é€", "", " lead", "{{ x }}", "a\nb", "-", "~", "null", "1e3", "2024-01-31"})

func (d *drawer) schemaOf(depth int) drawn {
	kinds := []string{"integer", "number", "string", "boolean", "enum", "const", "array"}
	if depth < 3 {
		kinds = append(kinds, "object", "object")
	}
	var out drawn
	switch kind := rapid.SampledFrom(kinds).Draw(d.T, "kind"); kind {
	case "integer":
		n := rapid.Int64Range(-5, 5).Draw(d.T, "n")
		out = drawn{map[string]any{"type": "integer", "minimum": n - 1, "maximum": n + 1}, n, nil}
	case "number":
		out = drawn{map[string]any{"type": "number", "exclusiveMinimum": int64(0)}, rapid.SampledFrom([]any{0.5, int64(3), 1e30}).Draw(d.T, "n"), nil}
	case "string":
		s := sampleText.Draw(d.T, "text")
		out = drawn{map[string]any{"type": "string", "minLength": int64(len([]rune(s)))}, s, nil}
	case "boolean":
		out = drawn{map[string]any{"type": "boolean"}, rapid.Bool().Draw(d.T, "b"), nil}
	case "enum":
		s := sampleText.Draw(d.T, "text")
		out = drawn{map[string]any{"enum": []any{s, int64(7), true}}, s, nil}
	case "const":
		s := sampleText.Draw(d.T, "text")
		out = drawn{map[string]any{"const": s}, s, nil}
	case "array":
		item := d.schemaOf(3)
		out = drawn{map[string]any{"type": "array", "items": item.schema, "minItems": int64(1)}, []any{item.sample}, nil}
	case "object":
		out = d.object(depth + 1)
	}
	if rapid.Bool().Draw(d.T, "described") {
		out.schema["description"] = rapid.SampledFrom([]string{"What it is.", "Long " + strings.Repeat("words ", 30), "with\nlines # and: marks", "\x1b[31mred"[1:]}).Draw(d.T, "description")
	}
	return out
}

// object gives a mapping with some properties, some of them required, some with defaults.
func (d *drawer) object(depth int) drawn {
	properties, sample, samples := map[string]any{}, map[string]any{}, map[string]any{}
	var required []any
	for range rapid.IntRange(0, 4).Draw(d.T, "properties") {
		d.names++
		name := rapid.SampledFrom([]string{"p", "on-", "a.b", "x y"}).Draw(d.T, "name") + string(rune('a'+d.names%26)) + string(rune('a'+d.names/26))
		p := d.schemaOf(depth)
		properties[name] = p.schema
		samples[name] = p.sample
		for n, s := range p.samples {
			samples[n] = s
		}
		if rapid.Bool().Draw(d.T, "default") {
			p.schema["default"] = p.sample
		}
		if rapid.Bool().Draw(d.T, "required") {
			required = append(required, name)
		}
		sample[name] = p.sample
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if required != nil {
		schema["required"] = required
	}
	return drawn{schema, sample, samples}
}
