package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// The cases of testdata/tools/convert.txt say what comes in; what comes out is in a golden file.
func TestConvert(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "tools", "convert.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, cases := splitCases(string(text))
	var out strings.Builder
	for _, c := range cases {
		options := ConvertOptions{Bundle: toolsBundle(t), Path: "../bundle"}
		if strings.HasSuffix(c.name, "without a bundle") {
			options = ConvertOptions{}
		}
		file := "config.json"
		if strings.Contains(c.name, "YAML") {
			file = "config.yaml"
		}
		made, problems := Convert(file, []byte(c.text), options)
		fmt.Fprintf(&out, "=== %s\n", c.name)
		if made != nil {
			problems = made.Warnings
			fmt.Fprintf(&out, "%s", made.HidingYAML)
		}
		out.WriteString("!!!\n")
		if err := problems.Render(&out); err != nil {
			t.Fatal(err)
		}
		if problems.Err() == nil != (made != nil) {
			t.Errorf("%s: %v", c.name, problems)
		}
		for _, p := range problems {
			if p.Remedy == "" || p.Line == 0 {
				t.Errorf("%s: no remedy or place: %v", c.name, p)
			}
		}
		out.WriteString("\n")
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("a secret is shown")
	}
	golden(t, "converted.txt", out.String())
}

func TestConvertedFilesLoad(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "tools", "convert.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, cases := splitCases(string(text))
	for _, name := range []string{"everything is a string", "the later YAML, typed already"} {
		for _, c := range cases {
			if c.name != name {
				continue
			}
			made, problems := Convert("config", []byte(c.text), ConvertOptions{toolsBundle(t), "../bundle"})
			if made == nil {
				t.Fatal(problems)
			}
			if _, problems := ParseSite("cluster.yaml", made.YAML, toolsBundle(t)); len(problems) > 0 {
				t.Errorf("%s: %v\n%s", name, problems, made.YAML)
			}
		}
	}
}

// What the operator gets has the secrets; what is printed says where they are.
func TestConvertWritesSecretsToFilesOnly(t *testing.T) {
	made, problems := Convert("config.json", []byte(`{"admin_password": "correct horse", "site": "rome"}`), ConvertOptions{toolsBundle(t), "."})
	if made == nil {
		t.Fatal(problems)
	}
	if !made.Secrets || !bytes.Contains(made.YAML, []byte(`admin_password: "correct horse"`)) || bytes.Contains(made.HidingYAML, []byte("horse")) {
		t.Errorf("%s\n%s", made.YAML, made.HidingYAML)
	}
}

func TestValuesBecomeWhatTheSchemaWants(t *testing.T) {
	tests := []struct{ schema, legacy, want string }{
		{"{type: string}", `"22"`, `"22"`},
		{"{type: integer}", `"22"`, "22"},
		{"{type: integer}", `" 22 "`, "22"},
		{"{type: integer}", `"022"`, `"022"`},
		{"{type: number}", `"1e3"`, "1000"},
		{"{type: boolean}", `"True"`, "true"},
		{"{type: boolean}", `"no"`, "false"},
		{"{type: string}", `"true"`, `"true"`},
		{"{type: string}", `true`, `"true"`},
		{"{type: string}", `1.10`, `"1.10"`},
		{"{type: string}", `"[1]"`, `"[1]"`},
		{"{type: array}", `"[1, \"2\"]"`, `[1, "2"]`},
		{"{type: array, items: {type: integer}}", `"[\"1\", \"2\"]"`, "[1, 2]"},
		{"{type: array, items: {type: string}}", `"[]"`, "[]"},
		{"{type: array, items: {type: string}}", `"a"`, "[a]"},
		{"{type: object, properties: {m: {type: integer}}}", `"{\"m\": \"1\"}"`, "{m: 1}"},
		{"{type: object, properties: {m: {type: boolean}}}", `{"m": "true"}`, "{m: true}"},
		{"{}", `"[1]"`, `"[1]"`},
		{"{type: [integer, string]}", `"1"`, `"1"`},
		{"{enum: [1, 2]}", `"2"`, "2"},
		{"{$ref: '#/$defs/n'}", `"2"`, "2"},
	}
	for _, tt := range tests {
		b := parameterBundle(t, "{properties: {p: "+tt.schema+"}, $defs: {n: {type: integer}}}")
		made, problems := Convert("config.json", []byte(`{"p": `+tt.legacy+`}`), ConvertOptions{b, "."})
		if made == nil {
			t.Fatal(problems)
		}
		if want := "\n  p: " + tt.want + "\n"; !strings.Contains(string(made.YAML), want) {
			t.Errorf("%s of %s: no %q in\n%s", tt.schema, tt.legacy, want, made.YAML)
		}
	}
}

func FuzzConvert(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "tools", "convert.txt"))
	if err != nil {
		f.Fatal(err)
	}
	_, cases := splitCases(string(text))
	for _, c := range cases {
		f.Add([]byte(c.text), true)
	}
	f.Add([]byte(`{"a": "\ud83d\ude00\u0000", "b": {"c": [null, 1e400]}, "agent_list": ["::1%eth0", 1, null]}`), false)
	bundle := toolsBundle(f)
	f.Fuzz(func(t *testing.T, data []byte, withBundle bool) {
		options := ConvertOptions{Path: "../bundle"}
		if withBundle {
			options.Bundle = bundle
		}
		made, problems := Convert("config", data, options)
		if made == nil {
			if problems.Err() == nil {
				t.Fatal("no conversion and no problem")
			}
			checkProblems(t, data, problems, "") // any line may be a secret's, however its key is written
			return
		}
		for _, p := range made.Warnings {
			if !p.Warning || p.Remedy == "" || p.Line < 1 {
				t.Errorf("%+v", p)
			}
		}
		for _, text := range [][]byte{made.YAML, made.HidingYAML} {
			if !utf8.Valid(text) {
				t.Fatalf("not UTF-8: %q", text)
			}
			if report, top := parse("cluster.yaml", text); top == nil || report.failed() {
				t.Fatalf("%v in\n%s", report.problems, text)
			}
		}
		checkNothingLost(t, data, made)
	})
}

// checkNothingLost looks for every key of the ancestor's file in what was made of it.
func checkNothingLost(t *testing.T, data []byte, made *Conversion) {
	t.Helper()
	_, legacy := parseLegacy("config", data)
	r, top := parse("cluster.yaml", made.YAML)
	parameters := valueOf(cursor{report: r, node: top, at: top}, "parameters")
	places := map[string]*yaml.Node{}
	_, places["cluster_name"] = descend(top, "cluster")
	_, places["bootstrap_url"] = descend(top, "coordinator", "addresses")
	_, places["ssh_user"] = descend(top, "ssh", "user")
	_, places["ssh_port"] = descend(top, "ssh", "port")
	_, places["master_discovery"] = descend(top, "discovery")
	for _, way := range legacyDiscovery {
		_, places[way.address] = descend(top, "endpoint")
	}
	for _, list := range legacyRoles {
		_, places[list.key] = descend(top, "hosts")
	}
	for key, v := range (cursor{report: &report{}, node: legacy, at: legacy}).entries() {
		taken := parameters != nil && parameters.node.Kind == yaml.MappingNode && valueOf(*parameters, key) != nil
		if n := places[key]; n != nil && n.Tag != "!!null" {
			taken = true
		}
		for _, p := range made.Warnings {
			way := (*trail)(nil).key(key).String()
			taken = taken || p.Key == way || strings.HasPrefix(p.Key, way+"[") || strings.HasPrefix(p.Key, way+".")
		}
		if items, ok := unpacked(v); ok && len(items) == 0 {
			taken = true // an empty list of hosts says nothing
		}
		if !taken {
			t.Errorf("%q is lost\n%s\n%s", key, data, made.YAML)
		}
	}
}
