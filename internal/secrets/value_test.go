package secrets

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/manifest"
)

func TestGeneratedValues(t *testing.T) {
	forms := map[string]*regexp.Regexp{
		"base64url":    regexp.MustCompile(`^[A-Za-z0-9_-]+$`),
		"hex":          regexp.MustCompile(`^[0-9a-f]+$`),
		"alphanumeric": regexp.MustCompile(`^[A-Za-z0-9]+$`),
		"password":     regexp.MustCompile(`^[A-Za-z0-9._+@%:,=~^-]+$`),
	}
	letters := map[string]float64{"base64url": 64, "hex": 16, "alphanumeric": 62, "password": 73}
	rapid.Check(t, func(t *rapid.T) {
		recipe := manifest.Recipe{Format: rapid.SampledFrom(manifest.RecipeFormats).Draw(t, "format"), Bytes: rapid.IntRange(16, 64).Draw(t, "bytes")}
		one, err := Make(recipe, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		other, err := Make(recipe, rand.Reader)
		if err != nil || bytes.Equal(one, other) {
			t.Fatalf("two values are the same (%v)", err)
		}
		if !forms[recipe.Format].Match(one) {
			t.Fatalf("%q is not in the format %s", one, recipe.Format)
		}
		if bits := float64(len(one)) * math.Log2(letters[recipe.Format]); bits < float64(8*recipe.Bytes) {
			t.Fatalf("%q has %v bits, fewer than %d", one, bits, 8*recipe.Bytes)
		}
		for _, encoder := range []string{"json", "yaml", "shell", "systemd", "url", "base64"} {
			if _, err := late.Encode(string(one), []string{encoder}); err != nil {
				t.Fatalf("a generated value cannot be written as %s: %v", encoder, err)
			}
		}
		if recipe.Format == "password" && !hasAll(string(one), lower, upper, digits, symbols) {
			t.Fatalf("%q lacks a kind of character", one)
		}
	})
	if _, err := Make(manifest.Recipe{Bytes: 16, Format: "rot13"}, rand.Reader); err == nil {
		t.Fatal("an unknown format is accepted")
	}
	if _, err := Make(manifest.Recipe{Bytes: 16, Format: "password"}, bytes.NewReader(nil)); err == nil {
		t.Fatal("a value was made of nothing")
	}
}

func TestEveryHostHasItsOwnValue(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, SeedSize)
	recipe := manifest.Recipe{Bytes: 32, Format: "alphanumeric"}
	seen := map[string]bool{}
	for _, c := range []struct{ name, host string }{{"a", "h1"}, {"a", "h2"}, {"b", "h1"}, {"a", "h\n1"}, {"a\nh", "1"}} {
		value, err := Derive(seed, recipe, c.name, c.host)
		again, _ := Derive(seed, recipe, c.name, c.host)
		if err != nil || seen[string(value)] || !bytes.Equal(value, again) {
			t.Fatalf("%v: %q, %v", c, value, err)
		}
		seen[string(value)] = true
	}
	// The values of hosts that are installed must not change with a version of this program.
	value, err := Derive(seed, recipe, "a", "h1")
	if err != nil || string(value) != pinned {
		t.Fatalf("the value is %q now, it was %q", value, pinned)
	}
}

const pinned = "aCVUqgIB0nqSPFUztWoIw8J1SgSVXm4IBLER7wp4520"

func TestValuesThatAreGiven(t *testing.T) {
	const pem = "-----BEGIN X-----\nAAAA\n-----END X-----\n"
	form := func(format string) manifest.Form { return manifest.Form{Format: format, MinLength: 4} }
	for _, c := range []struct {
		name        string
		form        manifest.Form
		given, want string
		problem     string
	}{
		{"a line loses its line end", form("line"), "canary\r\n", "canary", ""},
		{"and only one", form("line"), "canary\n\n", "", "is not one line of text"},
		{"a line of letters of other scripts", form("line"), "pässwörd ✓", "pässwörd ✓", ""},
		{"a line with a tab", form("line"), "can\tary", "", "is not one line of text"},
		{"a line with NUL", form("line"), "canary\x00", "", "is not one line of text"},
		{"a line that is not UTF-8", form("line"), "canary\xff", "", "is not one line of text"},
		{"nothing", form("line"), "\n", "", "is empty"},
		{"too short", form("line"), "abc\n", "", "has 3 bytes, fewer than the 4"},
		{"too long", form("binary"), strings.Repeat("x", late.MaxSecret+1), "", "has 32769 bytes, more than 32768"},
		{"text stays as it is", form("text"), "canary\n\n", "canary\n\n", ""},
		{"text with NUL", form("text"), "canary\x00", "", "is not text"},
		{"text that is not UTF-8", form("text"), "canary\xff", "", "is not text"},
		{"PEM stays as it is", form("pem"), pem + pem, pem + pem, ""},
		{"PEM that is cut off", form("pem"), pem + pem[:30], "", "is not PEM"},
		{"no PEM", form("pem"), "canary", "", "is not PEM"},
		{"anything", form("binary"), "\x00\xff\n", "", "has 3 bytes"},
		{"any bytes", form("binary"), "\x00\xff\r\n", "\x00\xff\r\n", ""},
		{"the whole of it matches the pattern", manifest.Form{Format: "line", Pattern: "[a-z]+|x"}, "canary", "canary", ""},
		{"a part of it matches the pattern", manifest.Form{Format: "line", Pattern: "can|ary"}, "canary", "", "does not match the pattern"},
		{"a line of it matches the pattern", manifest.Form{Format: "text", Pattern: "^ca[n]ary$"}, "canary\nx", "", "does not match the pattern"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Accept("k", c.form, []byte(c.given))
			if c.problem == "" {
				if err != nil || string(got) != c.want {
					t.Fatalf("got %q, %v, want %q", got, err, c.want)
				}
				return
			}
			wantFault(t, err, fault.Invalid, c.problem)
			if strings.Contains(err.Error(), "canary") {
				t.Fatalf("the error repeats the value: %v", err)
			}
		})
	}
}

func TestReadingAValueFromAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "value")
	for _, c := range []struct {
		name    string
		prepare func() error
		class   fault.Class
		want    string
	}{
		{"there is none", func() error { return nil }, fault.NotFound, "there is no file"},
		{"others can read it", func() error { return errors.Join(os.WriteFile(path, []byte(canary), 0o600), os.Chmod(path, 0o604)) }, fault.Denied, "can be read by others than its owner (mode 0604)"},
		{"its group can read it", func() error { return errors.Join(os.WriteFile(path, []byte(canary), 0o600), os.Chmod(path, 0o640)) }, fault.Denied, "mode 0640"},
		{"it is a directory", func() error { return os.Mkdir(path, 0o700) }, fault.Invalid, "not a regular file"},
		{"it is a pipe that nobody writes to", func() error { return syscall.Mkfifo(path, 0o600) }, fault.Invalid, "not a regular file"},
		{"it is long", func() error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) }, fault.Invalid, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(path), c.prepare()); err != nil {
				t.Fatal(err)
			}
			_, err := ReadFile("k", path)
			wantFault(t, err, c.class, c.want)
		})
	}
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(canary), 0o400)); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile("k", path); err != nil || string(got) != canary {
		t.Fatalf("%q, %v", got, err)
	}
	t.Setenv("MUSTER_TEST_SECRET", canary)
	if got, err := ReadEnv("k", "MUSTER_TEST_SECRET"); err != nil || string(got) != canary {
		t.Fatalf("%q, %v", got, err)
	}
	_, err := ReadEnv("k", "MUSTER_TEST_NO_SECRET")
	wantFault(t, err, fault.NotFound, "is not set")
}

func TestTheBootstrapAgentDoesNotLinkTheKeys(t *testing.T) {
	out, err := exec.Command("go", "list", "-tags", "grpcnotrace", "-deps", "muster/cmd/bootstrap-agent").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, unwanted := range []string{"filippo.io/", "muster/internal/secrets\n", "muster/internal/coordinator\n", "text/template\n"} {
		if strings.Contains(string(out), unwanted) {
			t.Errorf("the bootstrap agent links %s", unwanted)
		}
	}
}
