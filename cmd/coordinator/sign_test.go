package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signingSite is a site whose cluster.yaml asks for two keys, each in a file.
func signingSite(t *testing.T) (dir string, keys []string) {
	t.Helper()
	dir = genconfSite(t)
	var public []string
	for _, name := range []string{"alice", "bob"} {
		file := filepath.Join(dir, "keys", name)
		text, _ := mustRun(t, "", "key", "generate", file)
		again, _ := mustRun(t, "", "key", "public", file)
		if text != again || strings.Count(text, "\n") != 1 {
			t.Fatalf("generate printed %q, public %q", text, again)
		}
		keys, public = append(keys, file), append(public, strings.TrimSpace(text))
	}
	f, err := os.OpenFile(filepath.Join(dir, "demo/cluster.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// One key stands in the file, the other in a file beside it.
	if err := os.WriteFile(filepath.Join(dir, "demo/bob.pub"), []byte(public[1]+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("signing: {keys: [" + public[0] + ", bob.pub]}\n"); err != nil {
		t.Fatal(err)
	}
	return dir, keys
}

// fails wants exit code 1, these words and a remedy.
func fails(t *testing.T, state, words string, args ...string) {
	t.Helper()
	var said strings.Builder
	_, _, err := run(t.Context(), t, state, "", args...)
	if code := exitCode(&said, err); code != exitFailed || !strings.Contains(said.String(), words) || !strings.Contains(said.String(), "remedy: ") {
		t.Errorf("coordinator %s: exit code %d, %s", strings.Join(args, " "), code, said.String())
	}
}

func TestFromTheKeyToServing(t *testing.T) {
	dir, keys := signingSite(t)
	if _, stderr, err := runGenconf(t, dir, "--sign-key", keys[0]); err != nil || !strings.Contains(stderr, "version 1, signed by 1 of 2 keys, 2 are needed") {
		t.Fatalf("%v\n%s", err, stderr)
	}
	out, state := filepath.Join(dir, "genconf"), filepath.Join(shortDir(t), "state")
	fails(t, state, "is not served", "serve", "--genconf", out, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0")
	table, _, err := run(t.Context(), t, "", "", "verify", out)
	if exitCode(new(strings.Builder), err) != exitFailed || !strings.Contains(table, "not signed") || !strings.Contains(table, "coordinator sign DIR --key FILE") {
		t.Errorf("verify: %v\n%s", err, table)
	}
	said, _ := mustRun(t, "", "sign", out, "--key", keys[1])
	if !strings.Contains(said, "signed by 2 of 2 keys") {
		t.Errorf("sign said %q", said)
	}
	stop := serving(t, out, state)
	if err := stop(); err != nil {
		t.Error(err)
	}
	// What is served is what was signed, and bears an audit as well.
	text, _ := mustRun(t, "", "verify", filepath.Join(state, "artifacts"), "--key", filepath.Join(dir, "demo/bob.pub"), "-o", "json")
	var found struct {
		Version    uint64
		Problems   []any
		Signatures []struct{ Signed bool }
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil || found.Version != 1 || len(found.Problems) != 0 || len(found.Signatures) != 1 || !found.Signatures[0].Signed {
		t.Errorf("%v in %s", err, text)
	}
	table, _ = mustRun(t, "", "generations", "list", out)
	if !strings.Contains(table, "current") {
		t.Errorf("generations list: %s", table)
	}
	mustRun(t, "", "generations", "prune", out)
}

func TestSigningCommandsThatCannotBeMeant(t *testing.T) {
	dir, keys := signingSite(t)
	if _, stderr, err := runGenconf(t, dir); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	out := filepath.Join(dir, "genconf")
	refused(t, "", "say what to sign with", "sign", out)
	refused(t, "", "--version goes with --renew", "sign", out, "--key", keys[0], "--version", "7")
	fails(t, "", "are the same key", "sign", out, "--key", keys[0], "--key", keys[0])
	fails(t, "", "cannot be read", "sign", out, "--key", filepath.Join(dir, "nobody"))
	refused(t, "", "is given twice", "verify", out, "--key", filepath.Join(dir, "demo/bob.pub"), "--key", filepath.Join(dir, "demo/bob.pub"))
	refused(t, "", "--threshold is a number", "verify", out, "--threshold", "1")
	fails(t, "", "is there already", "key", "generate", keys[0])
	refused(t, "", "cannot be less than 0", "generations", "prune", out, "--keep", "-1")
	fails(t, "", "there is no generation", "verify", dir)
	if err := os.Remove(filepath.Join(out, "generation.dsse.json")); err != nil {
		t.Fatal(err)
	}
	fails(t, "", "there is no statement to sign", "sign", out, "--key", keys[0])
	if err := os.WriteFile(filepath.Join(out, "extra"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, "", "does not belong", "sign", out, "--key", keys[0])
}
