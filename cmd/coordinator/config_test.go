package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/config"
)

var update = flag.Bool("update", false, "write what is said now into the testdata files")

// tools runs a command line as an operator does, and gives what it printed and its exit code. It runs in a directory
// with the bundle of genconf's tests.
type tools struct {
	t   *testing.T
	dir string
	// golden collects everything for a golden file.
	golden strings.Builder
}

func newTools(t *testing.T) *tools {
	t.Helper()
	golden, err := filepath.Abs("testdata/config")
	if err != nil {
		t.Fatal(err)
	}
	dir := genconfSite(t)
	t.Chdir(dir)
	return &tools{t: t, dir: golden}
}

func (x *tools) run(args ...string) (stdout, stderr string, code int) {
	x.t.Helper()
	root := rootCommand()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	code = exitCode(&errs, root.ExecuteContext(x.t.Context()))
	x.golden.WriteString("$ coordinator " + strings.Join(args, " ") + "\n" + out.String())
	if errs.Len() > 0 {
		x.golden.WriteString("--- stderr\n" + errs.String())
	}
	if code != 0 {
		x.golden.WriteString("--- exit code " + string(rune('0'+code)) + "\n")
	}
	x.golden.WriteString("\n")
	return out.String(), errs.String(), code
}

func (x *tools) compare(name string) {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	if *update {
		x.must(os.WriteFile(path, []byte(x.golden.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	x.must(err)
	if got := x.golden.String(); got != string(want) {
		x.t.Errorf("%s differs; -update writes it.\ngot\n%s\nwant\n%s", name, got, want)
	}
}

func (x *tools) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *tools) edit(file, old, replacement string) {
	x.t.Helper()
	text, err := os.ReadFile(file)
	x.must(err)
	if !bytes.Contains(text, []byte(old)) {
		x.t.Fatalf("%s has no %q", file, old)
	}
	x.must(os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(replacement), 1), 0o644))
}

func TestConfigExplain(t *testing.T) {
	x := newTools(t)
	x.run("config", "explain", "demo/cluster.yaml")
	x.run("config", "explain", "port", "demo/cluster.yaml")
	x.run("config", "explain", "parameters.greeting", "demo/cluster.yaml", "-o", "json")
	x.run("config", "explain", "roles.master", "demo/cluster.yaml", "-o", "yaml")
	x.run("config", "explain", "prot", "demo/cluster.yaml")
	x.run("config", "explain", "port")
	x.edit("demo/cluster.yaml", "{count: 1}", "{count: 2}")
	x.run("config", "explain", "port", "demo/cluster.yaml")
	x.compare("explain.txt")
}

func TestConfigConvert(t *testing.T) {
	x := newTools(t)
	x.must(os.WriteFile("config.json", []byte(`{
  "cluster_name": "Old One",
  "bootstrap_url": "http://10.0.0.5:8000",
  "master_list": "[\"10.0.0.1\"]",
  "agent_list": "[\"10.0.0.7\"]",
  "port": "4010",
  "greeting": "1"
}
`), 0o644))
	x.run("config", "convert", "config.json", "--bundle", "demo")
	x.run("config", "convert", "config.json", "--bundle", "demo", "-o", "new.yaml")
	x.run("config", "explain", "port", "new.yaml")
	x.run("config", "convert", "config.json", "--bundle", "demo", "-o", "new.yaml")
	x.run("config", "convert", "config.json", "--bundle", "nowhere")
	x.run("config", "convert", "config.yaml")
	x.edit("config.json", `"4010",`, `"4010"`)
	x.run("config", "convert", "config.json", "--bundle", "demo")
	x.compare("convert.txt")
}

func TestConvertedSecretsAreForTheOwnerAlone(t *testing.T) {
	x := newTools(t)
	x.edit("demo/bundle.yaml", "greeting: {type: string,", "greeting: {type: string, writeOnly: true,")
	x.must(os.WriteFile("config.json", []byte(`{"greeting": "hunter2"}`), 0o644))
	stdout, stderr, code := x.run("config", "convert", "config.json", "--bundle", "demo")
	if code != 0 || strings.Contains(stdout+stderr, "hunter2") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	x.run("config", "convert", "config.json", "--bundle", "demo", "-o", "new.yaml")
	info, err := os.Stat("new.yaml")
	x.must(err)
	text, err := os.ReadFile("new.yaml")
	x.must(err)
	if info.Mode().Perm() != 0o600 || !bytes.Contains(text, []byte("greeting: hunter2")) {
		t.Errorf("%v\n%s", info.Mode(), text)
	}
}

func TestConfigDiff(t *testing.T) {
	x := newTools(t)
	t.Setenv("TMPDIR", t.TempDir())
	x.must(os.CopyFS("other", os.DirFS("demo")))
	x.edit("other/cluster.yaml", "{count: 1}", "{count: 3}")
	x.edit("other/cluster.yaml", "hosts:\n", "parameters: {port: 4001}\nhosts:\n  - {cidr: 10.78.0.0/16, role: worker}\n")
	x.run("config", "diff", "demo/cluster.yaml", "other/cluster.yaml")
	x.run("config", "diff", "demo/cluster.yaml", "demo/cluster.yaml")
	x.run("config", "diff", "demo/cluster.yaml", "other/cluster.yaml", "-o", "json")
	x.run("config", "diff", "demo", "other/cluster.yaml")
	x.run("config", "diff", "demo/cluster.yaml", "nowhere")
	x.edit("other/templates/app.conf.tmpl", ".Param.greeting", ".Param.greting")
	x.run("config", "diff", "demo/cluster.yaml", "other/cluster.yaml")
	x.compare("diff.txt")
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "coordinator-diff-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A placeholder has another name in every generation; what stands behind it is what counts. The config, as genconf
// wrote it or as it would, is the same.
func TestDiffOfGenerations(t *testing.T) {
	x := newTools(t)
	genconf := func(site, out string) {
		t.Helper()
		if _, stderr, code := x.run("genconf", site+"/cluster.yaml", "--agents", ".", "--out", out); code != 0 {
			t.Fatal(stderr)
		}
	}
	genconf("demo", "old")
	if stdout, stderr, code := x.run("config", "diff", "old", "demo/cluster.yaml"); code != 0 || !strings.Contains(stdout, "say the same") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	x.edit("demo/templates/app.conf.tmpl", "\n", "\n# changed\n")
	x.must(os.WriteFile("demo/packages/app/amd64/share/words", []byte("other words"), 0o644))
	genconf("demo", "new")
	stdout, _, _ := x.run("config", "diff", "old", "new", "-o", "json")
	var d config.Diff
	x.must(json.Unmarshal([]byte(stdout), &d))
	if len(d.Keys) != 0 || len(d.Hosts) != 0 || len(d.Roles) != 2 || len(d.NotCompared) != 0 {
		t.Fatalf("%+v", d)
	}
	for _, r := range d.Roles {
		want := []config.PartChange{{Kind: "file", Name: "etc/app.conf", Change: config.Changed}, {Kind: "package", Name: "app", Change: config.Changed}}
		if len(r.Parts) != 2 || r.Parts[0] != want[0] || r.Parts[1] != want[1] {
			t.Errorf("%+v", r)
		}
	}
}

// newSecretTools has a writeOnly parameter that only a rule reads.
func newSecretTools(t *testing.T) *tools {
	x := newTools(t)
	x.edit("demo/bundle.yaml", "    greeting:", "    pin: {type: string, writeOnly: true, minLength: 7}\n    greeting:")
	x.edit("demo/bundle.yaml", "packages:\n", "rules: [{assert: ne (len .Param.pin) 13, message: A bad number, remedy: Take another., keys: [pin]}]\npackages:\n")
	x.edit("demo/cluster.yaml", "hosts:\n", "parameters: {pin: hunter2}\nhosts:\n")
	return x
}

func TestDiffHidesSecrets(t *testing.T) {
	x := newSecretTools(t)
	x.must(os.CopyFS("other", os.DirFS("demo")))
	x.edit("other/cluster.yaml", "hunter2", "hunter3")
	for _, site := range []string{"demo", "other"} {
		if _, stderr, code := x.run("genconf", site+"/cluster.yaml", "--agents", ".", "--out", "out-"+site); code != 0 {
			t.Fatal(stderr)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"config", "diff", "demo/cluster.yaml", "other/cluster.yaml"}, config.Masked},
		{[]string{"config", "diff", "out-demo", "other/cluster.yaml"}, "writeOnly"},
		{[]string{"config", "diff", "out-demo", "out-other"}, "writeOnly"},
		{[]string{"config", "explain", "pin", "demo/cluster.yaml"}, config.Masked},
		{[]string{"config", "explain", "demo/cluster.yaml"}, config.Masked},
	} {
		for _, format := range []string{"table", "json", "yaml"} {
			stdout, stderr, code := x.run(append(c.args, "-o", format)...)
			if code != 0 || strings.Contains(stdout+stderr, "hunter") || !strings.Contains(stdout, c.want) {
				t.Errorf("%v: %d\n%s%s", c.args, code, stdout, stderr)
			}
		}
	}
}

// What is wrong is told without the value, in every way that the same is asked.
func TestErrorsHideSecrets(t *testing.T) {
	for name, spoil := range map[string]string{
		"too short": "{pin: hunter}", "another type": "{pin: [hunter2]}", "a rule": "{pin: hunter8901234}", "beside another mistake": "{pin: hunter2, port: x}",
		"a mistyped name": "{pim: hunter2}", "an alias": "{pin: *hunter2}", "no YAML": "{pin: \"hunter2", "no YAML in a block": "\n  pin: hunter2: hunter3",
		"a key that stands twice": "{pin: hunter2, pin: hunter3}",
	} {
		t.Run(name, func(t *testing.T) {
			x := newSecretTools(t)
			x.edit("demo/cluster.yaml", "{pin: hunter2}", spoil)
			for _, args := range [][]string{
				{"genconf", "demo/cluster.yaml", "--check"}, {"genconf", "demo/cluster.yaml", "--agents", ".", "--out", "new"},
				{"config", "diff", "demo/cluster.yaml", "demo/cluster.yaml"}, {"config", "explain", "demo/cluster.yaml"}, {"config", "explain", "pin", "demo/cluster.yaml"},
			} {
				stdout, stderr, code := x.run(args...)
				if strings.Contains(stdout+stderr, "hunter") {
					t.Errorf("%s: %v: %d\n%s%s", name, args, code, stdout, stderr)
				}
				if code != exitInvalid && !(name == "a rule" && args[0] == "config") {
					t.Errorf("%s: %v: exit code %d\n%s%s", name, args, code, stdout, stderr)
				}
			}
		})
	}
}

func TestDamagedGenerationIsNotCompared(t *testing.T) {
	x := newTools(t)
	if _, stderr, code := x.run("genconf", "demo/cluster.yaml", "--agents", ".", "--out", "old"); code != 0 {
		t.Fatal(stderr)
	}
	var blobs int
	x.must(filepath.WalkDir("old/blobs", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		blobs++
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		data[len(data)/2] ^= 1
		return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, data, 0o644))
	}))
	if _, stderr, code := x.run("config", "diff", "old", "demo/cluster.yaml"); code != exitInvalid || blobs == 0 || !strings.Contains(stderr, "damaged") {
		t.Errorf("%d: %s", code, stderr)
	}
}
