package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runBundle runs coordinator bundle with args.
func runBundle(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	c := bundleCommand()
	c.SilenceUsage, c.SilenceErrors = true, true
	var out, errs bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestFromScaffoldToGeneration(t *testing.T) {
	dir := genconfSite(t)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	if err := os.RemoveAll(filepath.Join(dir, "demo")); err != nil {
		t.Fatal(err)
	}
	demo, file := filepath.Join(dir, "demo"), filepath.Join(dir, "demo.bundle")
	if out, _, err := runBundle(t, "init", demo, "--address", "10.0.0.1"); err != nil || !strings.Contains(out, "demo/bundle.yaml\n") {
		t.Fatalf("%s%v", out, err)
	}
	if out, errs, err := runBundle(t, "lint", "--strict", demo); err != nil || !strings.HasSuffix(out, "demo is valid, 0 warnings\n") {
		t.Fatalf("%s%s%v", out, errs, err)
	}
	var pins []string
	for range 2 {
		out, errs, err := runBundle(t, "build", demo, "-o", file)
		if err != nil || errs != "" {
			t.Fatalf("%s%s%v", out, errs, err)
		}
		m := regexp.MustCompile(`(?m)^bundle: demo.bundle\n(bundle_sha256: [0-9a-f]{64})$`).FindStringSubmatch(out)
		if m == nil {
			t.Fatal(out)
		}
		pins = append(pins, m[1])
	}
	if pins[0] != pins[1] {
		t.Errorf("built twice, %s and %s", pins[0], pins[1])
	}
	// A file stands wherever a directory can, for init too: what it writes names the file, not where that is unpacked.
	initial := initCommand()
	initial.SetArgs([]string{file, "--out", filepath.Join(dir, "cluster.yaml"), "--address", "10.0.0.1"})
	initial.SetOut(new(bytes.Buffer))
	if err := initial.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "cluster.yaml")); err != nil || !strings.Contains(string(text), "\nbundle: demo.bundle\n") {
		t.Errorf("init wrote %s, %v", text, err)
	}
	text, err := os.ReadFile(filepath.Join(demo, "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("bundle: ."), []byte("bundle: ../demo.bundle\n"+pins[0]), 1)
	if err := os.WriteFile(filepath.Join(demo, "cluster.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, errs, err := runGenconf(t, dir); err != nil || !strings.Contains(out, "demo, with demo 0.1.0") {
		t.Errorf("%s%s%v", out, errs, err)
	}
}

func TestLintExitsWithTwo(t *testing.T) {
	dir := genconfSite(t)
	demo := filepath.Join(dir, "demo")
	if err := os.WriteFile(filepath.Join(demo, "notes"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := runBundle(t, "lint", demo); err != nil {
		t.Error(err)
	}
	var exit *exitError
	if _, _, err := runBundle(t, "lint", "--strict", demo); !errors.As(err, &exit) || exit.code != exitInvalid {
		t.Errorf("with a warning: %v", err)
	}
	if err := os.Remove(filepath.Join(demo, "checks/answers.sh")); err != nil {
		t.Fatal(err)
	}
	_, errs, err := runBundle(t, "lint", demo)
	if !errors.As(err, &exit) || exit.code != exitInvalid || !strings.Contains(errs, `the bundle has no file "checks/answers.sh"`) || !strings.Contains(errs, "remedy: ") {
		t.Errorf("with a problem: %s%v", errs, err)
	}
	if _, _, err := runBundle(t, "build", demo, "-o", filepath.Join(dir, "x.bundle")); !errors.As(err, &exit) || exit.code != exitInvalid {
		t.Errorf("built all the same: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x.bundle")); err == nil {
		t.Error("something was written")
	}
}

func TestBundleBuildSaysWhereItCannotWrite(t *testing.T) {
	x := newTools(t)
	for out, want := range map[string]string{"demo": "is a directory; name the file to write", "nowhere/app.bundle": "the directory of nowhere/app.bundle is not there"} {
		if _, stderr, code := x.run("bundle", "build", "demo", "-o", out); code != exitInvalid || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d\n%s", out, code, stderr)
		}
	}
}
