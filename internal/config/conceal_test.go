package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const concealBundle = `bundle: 1
name: app
version: "1"
roles: {master: {counts: [1, 3]}, agent: {}}
parameters:
  properties:
    port: {type: integer, default: 80}
    mode: {enum: [a, b]}
    password: {type: string, minLength: 9, writeOnly: true}
    db:
      properties:
        user: {type: string}
        key: {$ref: "#/$defs/key"}
        pin: {$ref: "#pin"}
    users: {type: array, uniqueItems: true, items: {properties: {name: {type: string, maxLength: 3}, token: {type: string, writeOnly: true, maxLength: 3}}}}
    keys: {type: array, uniqueItems: true, writeOnly: true}
    tokens: {additionalProperties: {type: string, maxLength: 3, writeOnly: true}}
  dependentRequired: {password: [port]}
  $defs:
    key: {type: string, maxLength: 3, writeOnly: true}
    pin: {$anchor: pin, type: string, maxLength: 3, writeOnly: true}
`

// concealed are the parameters of cluster configs in which something is wrong, with canary as the value of a secret.
var concealed = map[string]string{
	"too short":                              "parameters: {password: canary}",
	"another type":                           "parameters: {password: [canary]}",
	"beside another value in its line":       "parameters: {password: canary6789, port: x}",
	"a mistyped name":                        "parameters: {pasword: canary6789}",
	"a mistyped name, deeper":                "parameters: {db: {kye: canary}}",
	"a block":                                "parameters:\n  password: |\n    canary\n",
	"a block beside others":                  "parameters:\n  port: x\n  password: >\n    canary\n    canary\n  mode: c\n",
	"several lines in quotes":                "parameters: {password: \"canary\n  canary\", port: x}",
	"several lines without quotes":           "parameters: {password: ca\n canary, port: x}",
	"by a reference":                         "parameters: {db: {key: canary}}",
	"by an anchor of the schema":             "parameters: {db: {pin: canary}}",
	"in a list":                              "parameters: {users: [{name: abc, token: canary}]}",
	"in a list, beside":                      "parameters: {users: [{name: abcd, token: canary}]}",
	"a list with duplicates":                 "parameters: {keys: [canary, canary]}",
	"a list with a secret inside duplicates": "parameters: {users: [{token: canary}, {token: canary}]}",
	"in a mapping of any names":              "parameters: {tokens: {a: canary}}",
	"a key that stands twice":                "parameters: {password: canary6789, password: canary7890}",
	"a tag":                                  "parameters: {password: !canary x}",
	"an anchor":                              "parameters: {password: &canary x}",
	"an alias":                               "parameters: {password: *canary}",
	"a tag, a block":                         "parameters:\n  port: 1\n  password: !canary\n",
	"a quote that is never closed":           "parameters:\n  password: \"canary\n",
	"a tab":                                  "parameters:\n\tpassword: canary\n",
	"a colon":                                "parameters:\n  password: a: canary\n",
	"a character that begins nothing":        "parameters:\n  password: @canary\n",
	"a bracket":                              "parameters: {password: [canary",
	"two documents":                          "parameters: {password: x}\n--- {parameters: {password: canary}}\n",
	"repeated in a comment beside":           "parameters:\n  password: canary6789\n  port: x # not canary6789\n",
}

func TestProblemsDoNotShowSecretParameters(t *testing.T) {
	b, problems := ParseBundle("bundle.yaml", []byte(concealBundle))
	if b == nil {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"b/bundle.yaml": concealBundle, "unknown/bundle.yaml": "bundle: 7\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, parameters := range concealed {
		t.Run(name, func(t *testing.T) {
			text := "cluster: a\nbundle: b\ncoordinator: {addresses: [10.0.0.1]}\nroles: {master: {count: 3}}\n" + parameters + "\n"
			file := filepath.Join(dir, "cluster.yaml")
			load := func(text string) Problems {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				_, found := LoadCluster(file)
				_, again := ReadSite(file)
				return append(found, again...)
			}
			_, found := ParseCluster("cluster.yaml", []byte(text), b)
			for where, found := range map[string]Problems{
				"parsed": found, "loaded": load(text),
				"loaded with a bundle that is not valid": load(strings.Replace(text, "bundle: b\n", "bundle: unknown\n", 1)),
				"loaded without a bundle":                load(strings.Replace(text, "bundle: b\n", "", 1)),
			} {
				var shown strings.Builder
				if err := found.Render(&shown); err != nil {
					t.Fatal(err)
				}
				if found.Err() == nil {
					t.Errorf("%s: nothing is wrong with it", where)
				}
				if strings.Contains(shown.String(), "canary") {
					t.Errorf("%s: a value is shown:\n%s", where, shown.String())
				}
			}
		})
	}
}

// What is not near a secret is shown as ever.
func TestProblemsBesideSecretsShowTheirLine(t *testing.T) {
	b, _ := ParseBundle("bundle.yaml", []byte(concealBundle))
	for text, want := range map[string]string{
		"parameters:\n  password: canary6789\n  port: x\n":            `port: x`,
		"parameters:\n  users:\n  - {token: abc}\n  - {name: abcd}\n": `name: abcd`,
		"parameters: {port: 1}\nhosts: [{role: nobody}]\n":            `role: nobody`,
	} {
		_, found := ParseCluster("cluster.yaml", []byte("cluster: a\nbundle: b\ncoordinator: {addresses: [10.0.0.1]}\nroles: {master: {count: 3}}\n"+text), b)
		var shown strings.Builder
		if err := found.Render(&shown); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(shown.String(), " | ") || !strings.Contains(shown.String(), want) {
			t.Errorf("shown is\n%s\nwant %s", shown.String(), want)
		}
	}
}

func TestConceal(t *testing.T) {
	b, _ := ParseBundle("bundle.yaml", []byte(concealBundle))
	got := b.Conceal(map[string]any{
		"port": int64(1), "password": "x", "keys": []any{"x"}, "tokens": map[string]any{"a": "x"}, "undeclared": "y",
		"db":    map[string]any{"user": "y", "key": "x", "pin": "x"},
		"users": []any{map[string]any{"name": "y", "token": "x"}, map[string]any{"token": nil}},
	}, func(key string) any { return "(" + key + ")" })
	want := map[string]any{
		"port": int64(1), "password": "(parameters.password)", "keys": "(parameters.keys)", "tokens": map[string]any{"a": "(parameters.tokens.a)"}, "undeclared": "y",
		"db":    map[string]any{"user": "y", "key": "(parameters.db.key)", "pin": "(parameters.db.pin)"},
		"users": []any{map[string]any{"name": "y", "token": "(parameters.users[0].token)"}, map[string]any{"token": nil}},
	}
	if !equal(got, want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
}
