package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"muster/internal/config"
)

func TestInit(t *testing.T) {
	x := newTools(t)
	x.must(os.Mkdir("site", 0o755))
	x.run("init", "demo", "--out", "-", "--address", "10.0.0.5")
	x.run("init", "demo", "--out", "site/cluster.yaml", "--address", "10.0.0.5")
	x.run("genconf", "site/cluster.yaml", "--check")
	x.run("init", "demo", "--out", "site/cluster.yaml")
	x.run("init", "demo", "--out", "site/cluster.yaml", "--force", "--address", "")
	x.run("genconf", "site/cluster.yaml", "--check")
	x.run("init")
	x.run("init", "a", "b")
	x.compare("init.txt")
}

func TestInitRefusesALink(t *testing.T) {
	x := newTools(t)
	x.must(os.Symlink("nowhere", "cluster.yaml"))
	if _, stderr, code := x.run("init", "demo"); code != exitInvalid || !strings.Contains(stderr, "--force") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestInitFindsTheBundleFromTheFile(t *testing.T) {
	x := newTools(t)
	x.must(os.MkdirAll("a/b", 0o755))
	x.run("init", "demo", "--out", "a/b/cluster.yaml", "--address", "10.0.0.5")
	x.must(os.Rename("demo/bundle.yaml", "demo/other.yaml"))
	x.run("init", "demo/other.yaml", "--out", "a/c.yaml", "--address", "10.0.0.5")
	for file, want := range map[string]string{"a/b/cluster.yaml": "\nbundle: ../../demo\n", "a/c.yaml": "\nbundle: ../demo/other.yaml\n"} {
		text, err := os.ReadFile(file)
		x.must(err)
		if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %q:\n%s", file, want, text)
		}
	}
	if site, problems := config.ReadSite("a/c.yaml"); site == nil {
		t.Error(problems)
	}
}

func TestSchema(t *testing.T) {
	x := newTools(t)
	one, _, code := x.run("schema", "demo")
	other, _, _ := x.run("schema", "demo/bundle.yaml")
	if code != 0 || one != other || !strings.Contains(one, "json-schema.org/draft/2020-12") {
		t.Errorf("%d\n%s", code, one)
	}
	if _, stderr, code := x.run("schema"); code != exitInvalid || !strings.Contains(stderr, "remedy: ") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestOwnAddress(t *testing.T) {
	if s := ownAddress(); s != "" {
		if a, err := netip.ParseAddr(s); err != nil || a.IsLoopback() || a.IsLinkLocalUnicast() {
			t.Errorf("%q", s)
		}
	}
}
