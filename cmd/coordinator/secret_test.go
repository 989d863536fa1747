package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/handover"
	"muster/internal/manifest"
)

const secretsBundle = `bundle: 1
name: app
version: "1"
roles: {node: {}}
secrets:
  password: {summary: Of the database, roles: [node], given: true}
  cookie: {roles: [node], generate: {format: hex}}
files:
  etc/secrets: {template: secrets}
`

// secretSite is a generation with secrets, and a state that no coordinator has been started on.
func secretSite(t *testing.T, sources string) (dir, state string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"b/bundle.yaml": secretsBundle, "b/secrets": "{{ .Secret.password | json }} {{ .Secret.cookie | raw }}\n", "agent": "an agent",
		"cluster.yaml": "cluster: demo\nbundle: b\ncoordinator: {addresses: [10.0.0.1]}\nsecrets: " + sources + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.LoadCluster(filepath.Join(dir, "cluster.yaml"))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	agent := filepath.Join(dir, "agent")
	if _, err := artifacts.Generate(context.Background(), c, artifacts.Options{
		Agents: map[manifest.Arch]string{"amd64": agent, "arm64": agent}, Out: filepath.Join(dir, "genconf"),
	}); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "state")
}

func secret(t *testing.T, dir, state, stdin string, args ...string) (stdout string, code int, said string) {
	t.Helper()
	out, errs, err := run(context.Background(), t, state, stdin, append([]string{"secret", "--genconf", filepath.Join(dir, "genconf")}, args...)...)
	var told strings.Builder
	code = exitCode(&told, err)
	return out, code, errs + told.String()
}

const canary = "canary-password"

func TestSecretsWithoutARunningCoordinator(t *testing.T) {
	dir, state := secretSite(t, "{password: {set: true}}")
	want := func(code int, out string, stdin string, args ...string) string {
		t.Helper()
		got, gotCode, said := secret(t, dir, state, stdin, args...)
		if gotCode != code || !strings.Contains(got+said, out) {
			t.Fatalf("secret %q exits with %d and says\n%s%s\nwant %d and %q", args, gotCode, got, said, code, out)
		}
		if code != 0 && strings.Contains(got+said, canary) {
			t.Fatalf("secret %q repeats the value:\n%s%s", args, got, said)
		}
		return got
	}
	want(0, "coordinator secret set password", "", "list")
	want(1, "role node waits for secret password", "", "export", "--role", "node")
	want(2, "a value does not stand on the command line", "", "set", "password", canary)
	want(2, "say which secret", "", "set")
	want(2, "exclude each other", "", "set", "password", "--from-file", "a", "--from-env", "B")
	want(1, `the bundle declares no secret "passwort"`, canary, "set", "passwort")
	want(1, "fewer than the 8", "short", "set", "password")
	want(0, "secret password is set", canary+"\n", "set", "password")
	want(0, "secret password has this value already", canary, "set", "password")
	t.Setenv("MUSTER_TEST_SECRET", canary+"-2")
	want(0, "secret password is set", "", "set", "password", "--from-env", "MUSTER_TEST_SECRET")
	want(0, "env", "", "list")
	want(2, "say for which role", "", "export")
	first, err := handover.Decode([]byte(want(0, "", "", "export", "--role", "node")))
	if err != nil || string(first.Secrets["password"]) != canary+"-2" || len(first.Secrets["cookie"]) != 64 {
		t.Fatalf("%+v, %v", first, err)
	}
	want(0, "2 secrets are encrypted with a new key", "", "rekey")
	want(0, "secret cookie has a new value", "", "generate", "cookie")
	want(1, "is given, not generated", "", "generate", "password")
	second, err := handover.Decode([]byte(want(0, "", "", "export", "--role", "node")))
	if err != nil || string(second.Secrets["cookie"]) == string(first.Secrets["cookie"]) || second.ID == first.ID {
		t.Fatalf("%+v, %v", second, err)
	}
	if json := want(0, `"origin":"env"`, "", "list", "-o", "json"); strings.Contains(json, canary) {
		t.Fatal(json)
	}
	want(2, "say --yes", "", "reset")
	want(0, "2 secrets were forgotten", "", "reset", "--yes")
	want(0, "coordinator secret set password", "", "list")
}

func TestSecretsAreLoadedFromWhereClusterYAMLSays(t *testing.T) {
	dir, state := secretSite(t, "{password: {file: s/password}, cookie: {env: MUSTER_TEST_COOKIE}}")
	file := filepath.Join(dir, "cluster.yaml")
	if _, code, said := secret(t, dir, state, "", "load", file); code != 1 || !strings.Contains(said, "MUSTER_TEST_COOKIE for secret cookie is not set") {
		t.Fatalf("%d: %s", code, said)
	}
	t.Setenv("MUSTER_TEST_COOKIE", "a cookie of my own")
	if err := os.Mkdir(filepath.Join(dir, "s"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s/password")
	if err := os.WriteFile(path, []byte(canary+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, code, said := secret(t, dir, state, "", "load", file); code != 1 || !strings.Contains(said, "(mode 0644)") || !strings.Contains(said, "chmod 600") || strings.Contains(said, canary) {
		t.Fatalf("%d: %s", code, said)
	}
	if out, _, _ := secret(t, dir, state, "", "list"); strings.Contains(out, "env") {
		t.Fatalf("one was set although not all could be read:\n%s", out)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"is set", "has this value already"} {
		if out, code, said := secret(t, dir, state, "", "load", file); code != 0 || strings.Count(out, word) != 2 {
			t.Fatalf("%d: %s%s", code, out, said)
		}
	}
	if out, _, _ := secret(t, dir, state, "", "export", "--role", "node"); !strings.Contains(out, `"secrets"`) {
		t.Fatal(out)
	}
	if err := os.WriteFile(file, []byte("secrets: {password: "+canary+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, code, said := secret(t, dir, state, "", "load", file); code != 2 || strings.Contains(said, canary) || !strings.Contains(said, "nothing was set") {
		t.Fatalf("%d: %s", code, said)
	}
}

func TestAnExportedFileIsPrivate(t *testing.T) {
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := keepPrivate(f); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestSecretsNeedAGeneration(t *testing.T) {
	dir := t.TempDir()
	if _, code, said := secret(t, dir, filepath.Join(dir, "state"), "", "list"); code != 1 || !strings.Contains(said, "run coordinator genconf first") {
		t.Fatalf("%d: %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Fatal("a state was made")
	}
}
