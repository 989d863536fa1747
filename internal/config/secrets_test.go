package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"muster/internal/manifest"
)

const secretsBundle = `bundle: 1
name: app
version: "1.0"
roles: {master: {counts: [1]}, agent: {}}
secrets:
  password: {summary: The password, roles: [master], given: true, pattern: "[a-z]+", min_length: 12}
  key: {roles: [master, agent], given: true, format: pem}
  token: {roles: [agent], generate: {bytes: 24, format: hex}}
  cookie: {roles: [agent], generate: true}
  own: {roles: [agent], generate: {}, per: host}
`

const secretsCluster = "cluster: demo\nbundle: app\ncoordinator: {addresses: [10.0.0.1]}\n"

func TestSecretsAreDeclared(t *testing.T) {
	b, problems := ParseBundle("bundle.yaml", []byte(secretsBundle))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	both := []manifest.Role{"master", "agent"}
	want := []manifest.Secret{
		{Name: "password", Summary: "The password", Roles: both[:1], Given: &manifest.Form{Format: "line", Pattern: "[a-z]+", MinLength: 12}},
		{Name: "key", Roles: both, Given: &manifest.Form{Format: "pem", MinLength: 8}},
		{Name: "token", Roles: both[1:], Generate: &manifest.Recipe{Bytes: 24, Format: "hex"}},
		{Name: "cookie", Roles: both[1:], Generate: &manifest.Recipe{Bytes: 32, Format: "base64url"}},
		{Name: "own", Roles: both[1:], Generate: &manifest.Recipe{Bytes: 32, Format: "base64url"}, PerHost: true},
	}
	if !reflect.DeepEqual(b.Secrets, want) {
		t.Fatalf("secrets %+v, want %+v", b.Secrets, want)
	}
}

func TestSourcesAreRead(t *testing.T) {
	b, _ := ParseBundle("bundle.yaml", []byte(secretsBundle))
	c, problems := ParseCluster("cluster.yaml", []byte(secretsCluster+"secrets: {password: {file: ../secrets/pw}, key: {set: true}, token: {env: TOKEN}}\n"), b)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]SecretSource{"password": {File: "../secrets/pw"}, "key": {Set: true}, "token": {Env: "TOKEN"}}
	if !reflect.DeepEqual(c.Secrets, want) {
		t.Fatalf("sources %+v, want %+v", c.Secrets, want)
	}
}

func TestWhatIsWrongWithADeclaration(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no roles", "k: {given: true}", "6:3: secrets.k.roles: is required"},
		{"an empty list of roles", "k: {given: true, roles: []}", "6:27: secrets.k.roles: must list at least one role"},
		{"an unknown role", "k: {given: true, roles: [mater]}", `6:28: secrets.k.roles[0]: the bundle defines no role "mater"; did you mean "master"?`},
		{"neither generated nor given", "k: {roles: [agent]}", "6:3: secrets.k: needs generate or given"},
		{"both", "k: {roles: [agent], generate: {}, given: true}", "6:37: secrets.k.given: cannot stand together with generate (line 6)"},
		{"given is false", "k: {roles: [agent], given: false}", "6:30: secrets.k.given: cannot be false"},
		{"too little chance", "k: {roles: [agent], generate: {bytes: 15}}", "6:41: secrets.k.generate.bytes: must be between 16 and 64, found 15"},
		{"an unknown format", "k: {roles: [agent], generate: {format: base46url}}", `6:42: secrets.k.generate.format: must be base64url, hex, alphanumeric or password, found "base46url"; did you mean "base64url"?`},
		{"an unknown format of a given one", "k: {roles: [agent], given: true, format: hex}", `6:44: secrets.k.format: must be line, text, pem or binary, found "hex"`},
		{"a format beside generate", "k: {roles: [agent], generate: {}, format: line}", "6:37: secrets.k.format: is only for secrets that are given"},
		{"a pattern that is none", `k: {roles: [agent], given: true, pattern: "("}`, `6:45: secrets.k.pattern: "(" is not a regular expression`},
		{"too short", "k: {roles: [agent], given: true, min_length: 3}", "6:48: secrets.k.min_length: must be between 4 and 32768, found 3"},
		{"given and for each host", "k: {roles: [agent], given: true, per: host}", "6:41: secrets.k.per: a given secret has one value for the cluster"},
		{"per what", "k: {roles: [agent], generate: {}, per: role}", `6:42: secrets.k.per: must be cluster or host, found "role"`},
		{"a name that templates cannot write", "a-b: {roles: [agent], generate: {}}", `6:3: secrets.a-b: "a-b" cannot name a secret`},
		{"a value", "k: {roles: [agent], value: x}", "6:23: secrets.k.value: unknown key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, _, _ := strings.Cut(secretsBundle, "  password:")
			_, problems := ParseBundle("bundle.yaml", []byte(head+"  "+c.text+"\n"))
			wantProblem(t, problems, "bundle.yaml:"+c.want)
		})
	}
	many := strings.Builder{}
	for i := range maxSecrets + 1 {
		fmt.Fprintf(&many, "  k%d: {roles: [agent], generate: {}}\n", i)
	}
	head, _, _ := strings.Cut(secretsBundle, "  password:")
	_, problems := ParseBundle("bundle.yaml", []byte(head+many.String()))
	wantProblem(t, problems, "bundle.yaml:5:1: secrets: must be at most 64, found 65")
}

func TestWhatIsWrongWithASource(t *testing.T) {
	const rest = "key: {set: true}}"
	const literal = "the value of a secret must not stand in this file"
	for _, c := range []struct{ name, text, want string }{
		{"nothing is said", "secrets: {" + rest, "4:1: secrets.password: is required: the bundle leaves the value of this secret to you"},
		{"not even the section", "", "1:1: secrets.key: is required: the bundle leaves the value of this secret to you"},
		{"the value", "secrets: {password: canary, " + rest, "4:21: secrets.password: " + literal},
		{"the value as a number", "secrets: {password: 123456789, " + rest, "4:21: secrets.password: " + literal},
		{"the value in a list", "secrets: {password: [canary], " + rest, "4:21: secrets.password: " + literal},
		{"the value below a key", "secrets: {password: {value: canary}, " + rest, "4:22: secrets.password.value: " + literal},
		{"the value as a block", "secrets:\n  key: {set: true}\n  password: |\n    canary\n", "6:13: secrets.password: " + literal},
		{"an unknown key", "secrets: {password: {flie: canary}, " + rest, `4:22: secrets.password.flie: unknown key; did you mean "file"?`},
		{"two sources", "secrets: {password: {file: a, env: B}, " + rest, "4:11: secrets.password: needs one of file, env and set"},
		{"no source", "secrets: {password: {}, " + rest, "4:11: secrets.password: needs one of file, env and set"},
		{"nothing after the name", "secrets: {password: , " + rest, "4:11: secrets.password: says nothing of where the value comes from"},
		{"an absolute path", "secrets: {password: {file: /canary}, " + rest, "4:28: secrets.password.file: must be relative to this file"},
		{"no variable", "secrets: {password: {env: $canary}, " + rest, "4:27: secrets.password.env: is not the name of a variable"},
		{"set is false", "secrets: {password: {set: false}, " + rest, "4:27: secrets.password.set: must be true"},
		{"a secret that is not declared", "secrets: {passwrod: {set: true}, password: {set: true}, " + rest, `4:11: secrets.passwrod: the bundle declares no secret "passwrod"; did you mean "password"?`},
		{"one that every host has its own of", "secrets: {own: {set: true}, password: {set: true}, " + rest, "4:11: secrets.own: every host has its own value of this secret"},
		{"a section that is none", "secrets: canary", "4:10: secrets: "},
		{"text that is not YAML", "secrets: {password: \"canary\n  x\" canary, " + rest, "cluster.yaml:"},
		{"text that is not YAML, in a block", "secrets:\n  password: canary: canary\n", "cluster.yaml:"},
		{"an anchor", "secrets:\n  password: &a canary\n", "cluster.yaml:"},
		{"a key that stands twice", "secrets:\n  password: canary\n  password: canary\n" + "  key: {set: true}\n", "cluster.yaml:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := ParseBundle("bundle.yaml", []byte(secretsBundle))
			_, problems := ParseCluster("cluster.yaml", []byte(secretsCluster+c.text+"\n"), b)
			wantProblem(t, problems, strings.Replace("cluster.yaml:"+c.want, "cluster.yaml:cluster.yaml:", "cluster.yaml:", 1))
			var shown strings.Builder
			if err := problems.Render(&shown); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(shown.String(), "canary") || strings.Contains(shown.String(), "123456789") {
				t.Fatalf("a value is shown:\n%s", shown.String())
			}
		})
	}
}

func TestOnlyTheSectionIsConcealed(t *testing.T) {
	b, _ := ParseBundle("bundle.yaml", []byte(secretsBundle))
	_, problems := ParseCluster("cluster.yaml", []byte("secrets:\n  password: canary\n"+secretsCluster+"colour: red\n"), b)
	var shown strings.Builder
	if err := problems.Render(&shown); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown.String(), "colour: red") || strings.Contains(shown.String(), "canary") {
		t.Fatalf("shown is\n%s", shown.String())
	}
}

func wantProblem(t *testing.T, problems Problems, want string) {
	t.Helper()
	for _, p := range problems {
		if strings.HasPrefix(p.String(), want) {
			if p.Remedy == "" {
				t.Errorf("no remedy: %v", p)
			}
			return
		}
	}
	t.Fatalf("problems\n%v\nwant\n%s", problems, want)
}
