package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// editorOf compiles a bundle's schema of cluster.yaml as an editor does, with Muster's formats.
func editorOf(t interface{ Fatal(...any) }, b *BundleText) *jsonschema.Schema {
	text, err := ClusterSchema(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ClusterSchema(b)
	if err != nil || !bytes.Equal(text, again) {
		t.Fatal("the same bundle gives other bytes", err)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := compile(raw.(map[string]any), "")
	if err != nil {
		t.Fatal(err)
	}
	return compiled[0]
}

// decodeYAML reads a file as an editor does: without defaults.
func decodeYAML(t interface{ Fatal(...any) }, text string) any {
	report, top := parse("cluster.yaml", []byte(text))
	if top == nil {
		t.Fatal(report.problems)
	}
	v, _ := cursor{report: report, node: top, at: top}.data()
	return v
}

func TestClusterSchemaText(t *testing.T) {
	text, err := ClusterSchema(toolsBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", string(text))
	if !json.Valid(text) {
		t.Error("not JSON")
	}
}

func TestClusterSchemaOnFiles(t *testing.T) {
	const good = `cluster: prod
bundle: .
coordinator: {addresses: [10.0.0.5]}
roles: {master: {count: 3}}
secrets: {db_key: {set: true}}
parameters: {site: berlin}
`
	tests := []struct {
		name, old, replacement string
		valid                  bool
	}{
		{"the least that there is to say", "", "", true},
		{"empty sections", "bundle: .", "bundle: .\nhosts:\nssh:\naddress:\nendpoint:", true},
		{"every section", "bundle: .", "bundle: .\nhosts: [{address: fd00::1, role: agent, labels: {zone: a}}, {cidr: 10.0.0.0/8, role: agent}, {name: a.b, role: keeper}]\nssh: {user: a, port: 22}\naddress: {cidr: 10.0.0.0/8}\nendpoint: a:1", true},
		{"a role without words", "{master: {count: 3}}", "{master: {count: 3}, agent: , keeper: {count: 2}}", true},
		{"a parameter with its default left out", "{site: berlin}", "{site: berlin, mode: simple}", true},
		{"a mapping whose default fills in the rest", "{site: berlin}", "{site: berlin, cache: {}}", true},
		{"a condition that holds", "{site: berlin}", "{site: berlin, mode: fancy, theme: dark}", true},
		{"a condition that does not hold", "{site: berlin}", "{site: berlin, mode: fancy}", false},
		{"an unknown section", "bundle: .", "bundle: .\nhost: []", false},
		{"no bundle", "bundle: .\n", "", false},
		{"an absolute bundle", "bundle: .", "bundle: /etc", false},
		{"a name that is no label", "cluster: prod", "cluster: Prod_1", false},
		{"a reserved name", "cluster: prod", "cluster: systemd", false},
		{"a secret in a file", "{set: true}", "{file: keys/db}", true},
		{"no secret", "{db_key: {set: true}}", "{}", false},
		{"a secret from two places", "{set: true}", "{set: true, env: A}", false},
		{"a secret in the open", "{set: true}", "open sesame", false},
		{"an unknown secret", "{db_key:", "{seed: {set: true}, db_kye: {set: true}, db_key:", false},
		{"no addresses", "[10.0.0.5]", "[]", false},
		{"a port as text", "coordinator: {", `coordinator: {http_port: "80", `, false},
		{"a port too large", "coordinator: {", `coordinator: {http_port: 65536, `, false},
		{"a count that is not allowed", "count: 3", "count: 2", false},
		{"no count", "{count: 3}", "{}", false},
		{"a count of a role that takes any number", "{master: {count: 3}}", "{master: {count: 3}, agent: {count: 1}}", false},
		{"an unknown role", "{master: {count: 3}}", "{master: {count: 3}, agents: {}}", false},
		{"a host with an unknown role", "bundle: .", "bundle: .\nhosts: [{address: 10.0.0.1, role: nobody}]", false},
		{"a host that is none", "bundle: .", "bundle: .\nhosts: [{role: agent}]", false},
		{"two ways of detection too few", "bundle: .", "bundle: .\naddress: {}", false},
		{"a required parameter is missing", "{site: berlin}", "{}", false},
		{"no parameters at all", "parameters: {site: berlin}\n", "", false},
		{"an unknown parameter", "{site: berlin}", "{site: berlin, sites: x}", false},
		{"an unknown key inside of a parameter", "{site: berlin}", "{site: berlin, cache: {sizes: 1}}", false},
		{"a parameter out of bounds", "{site: berlin}", "{site: berlin, port: 80}", false},
		{"a format behind a reference", "{site: berlin}", "{site: berlin, cache: {ttl: soon}}", false},
	}
	bundle := toolsBundle(t)
	editor := editorOf(t, bundle)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(good, tt.old) {
				t.Fatal("nothing is replaced")
			}
			text := strings.Replace(good, tt.old, tt.replacement, 1)
			err := editor.Validate(decodeYAML(t, text))
			if (err == nil) != tt.valid {
				t.Errorf("valid %v, want %v: %v", err == nil, tt.valid, err)
			}
			_, problems := ParseSite("cluster.yaml", []byte(text), bundle)
			if tt.valid != (problems.Err() == nil) {
				t.Errorf("loading says %v", problems)
			}
		})
	}
}

// The cases of cluster.yaml's own tests are files that do not load. The schema may miss what they have wrong, but it
// must never complain of what does load.
func TestClusterSchemaNeverComplainsOfAFileThatLoads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawer{T: t}
		schema := d.object(0).schema
		d.condition(schema)
		bundle, problems := ParseBundleText(bundleFile, []byte(bundleRest+"parameters: "+flow(schema)+"\n"))
		if bundle == nil {
			t.Skip(problems) // the condition contradicts a default
		}
		given := d.given(schema)
		text := "cluster: demo\nbundle: app\ncoordinator: {addresses: [10.0.0.1]}\nparameters: " + flow(given) + "\n"
		_, problems = ParseSite("cluster.yaml", []byte(text), bundle)
		err := editorOf(t, bundle).Validate(decodeYAML(t, text))
		// For such schemas it is even exact.
		if (err == nil) != (problems.Err() == nil) {
			t.Fatalf("loading says %v\nthe schema says %v\nof %s\nby %s", problems, err, text, flow(schema))
		}
	})
}

// condition adds something that depends on whether a property is there or on its value.
func (d *drawer) condition(schema map[string]any) {
	names := sortedKeys(asMap(schema["properties"]))
	if len(names) < 2 {
		return
	}
	one, two := rapid.SampledFrom(names).Draw(d.T, "one"), rapid.SampledFrom(names).Draw(d.T, "two")
	value := d.value(propertyOf(schema, one))
	test := map[string]any{"properties": map[string]any{one: map[string]any{"const": value}}}
	if rapid.Bool().Draw(d.T, "presence") {
		test["required"] = []any{one}
	}
	need := map[string]any{"required": []any{two}}
	switch rapid.IntRange(0, 5).Draw(d.T, "condition") {
	case 0:
		schema["if"], schema["then"] = test, need
	case 1:
		schema["if"], schema["else"] = test, need
	case 2:
		schema["dependentRequired"] = map[string]any{one: []any{two}}
	case 3:
		schema["anyOf"] = []any{test, need}
	case 4:
		schema["not"] = map[string]any{"allOf": []any{test, need}}
	}
}

// given draws what an operator says: some properties, with values that fit or not.
func (d *drawer) given(schema map[string]any) map[string]any {
	out := map[string]any{}
	for _, name := range sortedKeys(asMap(schema["properties"])) {
		if rapid.Bool().Draw(d.T, "given") {
			out[name] = d.value(propertyOf(schema, name))
		}
	}
	return out
}

func (d *drawer) value(schema map[string]any) any {
	if schema["type"] == "object" && rapid.IntRange(0, 9).Draw(d.T, "other") > 0 {
		return d.given(schema)
	}
	if list, ok := schema["enum"].([]any); ok && rapid.Bool().Draw(d.T, "first") {
		return list[0]
	}
	if value, ok := schema["const"]; ok && rapid.Bool().Draw(d.T, "const") {
		return value
	}
	return rapid.SampledFrom([]any{int64(1), "abc", true, 0.5, []any{int64(1)}, map[string]any{}, int64(-3)}).Draw(d.T, "value")
}

// A constant is compared with the value after the defaults are filled in, so the schema must not compare it before.
func TestClusterSchemaComparesConstantsWithDefaultsFilledIn(t *testing.T) {
	const schema = `{properties: {a: {type: object, properties: {x: {type: number}, y: {type: integer, default: 0}}}}, not: {properties: {a: {%s}}, required: [a]}}`
	for _, tt := range []struct {
		constant, given string
		loads           bool
	}{
		{"const: {x: 1}", "{x: 1}", true}, // never equal: y is always there
		{"const: {x: 1, y: 0}", "{x: 1}", false},
		{"const: {x: 1, y: 0}", "{x: 1, y: 0}", false},
		{"const: {x: 1, y: 2}", "{x: 1}", true},
		{"enum: [{x: 2, y: 0}, {x: 1, y: 0}]", "{x: 1}", false},
		{"enum: [{x: 2}, {x: 1}]", "{x: 1}", true},
	} {
		bundle, problems := ParseBundleText(bundleFile, []byte(bundleRest+"parameters: "+fmt.Sprintf(schema, tt.constant)+"\n"))
		if bundle == nil {
			t.Fatal(problems)
		}
		text := "cluster: demo\nbundle: app\ncoordinator: {addresses: [10.0.0.1]}\nparameters: {a: " + tt.given + "}\n"
		_, problems = ParseSite("cluster.yaml", []byte(text), bundle)
		if loads := problems.Err() == nil; loads != tt.loads {
			t.Errorf("%s of %s: loading says %v", tt.given, tt.constant, problems)
		}
		if err := editorOf(t, bundle).Validate(decodeYAML(t, text)); (err == nil) != tt.loads {
			t.Errorf("%s of %s: the schema says %v", tt.given, tt.constant, err)
		}
	}
}
