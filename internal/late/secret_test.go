package late

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/manifest"
)

func withSecret(value string) Values {
	v := Values{}
	v.SetSecret("key", []byte(value))
	return v
}

func TestASecretIsBoundAsTheBytesThatItIs(t *testing.T) {
	for _, c := range []struct{ name, value, encode, want string }{
		{"a line as it is", "p$ss 'w\"rd", "raw", "p$ss 'w\"rd"},
		{"bytes as they are", "\x00\xff\n", "raw", "\x00\xff\n"},
		{"bytes in base64", "\x00\xff\n", "base64", "AP8K"},
		{"lines as a shell word", "a'b\nc", "shell", "'a'\\''b\nc'"},
		{"bytes as a shell word", "\xff", "shell", "'\xff'"},
		{"lines in JSON", "a\"b\n", "json", `"a\"b\n"`},
		{"lines in YAML", "a: b\n", "yaml", `"a: b\n"`},
		{"a password in a URL", "a/b:c@d e%\xff", "url", "a%2Fb%3Ac%40d%20e%25%FF"},
		{"lines in a unit's syntax", "a b\n%", "systemd", `a\x20b\x0a%%`},
		{"one encoder after the other", "\xff", "base64 json", `"/w=="`},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := tableOf(manifest.Slot{Ref: "Secret.key", Encode: strings.Fields(c.encode)})
			got, err := Bind(table, withSecret(c.value), []byte("<"+placeholder(testMarker, 0)+">"))
			if err != nil || string(got) != "<"+c.want+">" {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestWhatAnEncoderCannotWriteIsRefusedWithoutTheValue(t *testing.T) {
	for _, c := range []struct{ name, value, encode, want string }{
		{"NUL as a shell word", "canary\x00", "shell", "a shell word cannot hold a NUL byte; "},
		{"bytes in JSON", "canary\xff", "json", "a JSON string cannot hold bytes that are not UTF-8; "},
		{"bytes in YAML", "canary\xff", "yaml", "a YAML string cannot hold bytes that are not UTF-8; "},
		{"bytes in a unit", "canary\xff", "systemd", "a systemd setting cannot hold bytes that are not UTF-8; "},
		{"NUL in a unit", "canary\x00", "systemd", "a systemd setting cannot hold a NUL byte; "},
		{"a dollar sign in a unit", "canary$", "systemd", "a dollar sign means one thing in Environment= "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewBinder(tableOf(manifest.Slot{Ref: "Secret.key", Encode: strings.Fields(c.encode)}), withSecret(c.value))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Fatalf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestAValueThatIsNoSecretIsRefusedWithoutBeingRepeated(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not base64": "canary!", "with a line end": "Y2Fu\nYXJ5", "not padded": "Y2FuYXJ5YQ", "with bits left over": "Y2FuYXJ5YR==",
		"too long": base64.StdEncoding.EncodeToString(make([]byte, MaxSecret+1)),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, Validate(Values{"Secret.key": text}), "late value .Secret.key is damaged, which is not valid; it must be 1 byte to 32 KiB, in base64")
			if got := (Values{"Secret.key": text}).Secrets(); len(got) != 0 {
				t.Fatalf("secrets %q", got)
			}
		})
	}
}

func TestSecretsOfARole(t *testing.T) {
	spec := Spec{Secrets: map[string]bool{"mine": true, "theirs": false}}
	s := NewSpace(testMarker, spec)
	if _, ok := s.Secret["theirs"]; ok || !s.Denied("theirs") || s.Denied("mine") || s.Denied("nobodys") {
		t.Fatalf("secrets %v", s.Secret)
	}
	mine := s.Secret["mine"]
	if !Bare(mine) || Bare(s.Host.Name) {
		t.Fatal("a secret without an encoder is not told apart")
	}
	if _, err := mine.encoded("urlhost"); err == nil {
		t.Fatal("urlhost prints a secret as it is")
	}
	raw, err := mine.encoded("raw")
	if err != nil || Bare(raw) {
		t.Fatal(err)
	}
	name := s.Host.Name.String()
	if s.HasSecret([]byte("a " + name)) {
		t.Fatal("a host's name is taken for a secret")
	}
	if !s.HasSecret([]byte(name + "b " + raw.String())) {
		t.Fatal("the secret is not found")
	}
	if ref, found := s.FindWithin(s.Secret); !found || ref != "Secret.mine" {
		t.Fatalf("found %q, %v", ref, found)
	}
}

// Whatever a secret is, what the encoders write is read as the same by those that they write for.
func TestEncodersAndReadersAgree(t *testing.T) {
	readers := map[string]func(string) (string, error){
		"raw":    func(s string) (string, error) { return s, nil },
		"base64": func(s string) (string, error) { b, err := base64.StdEncoding.DecodeString(s); return string(b), err },
		"json":   func(s string) (out string, err error) { err = json.Unmarshal([]byte(s), &out); return out, err },
		"url":    url.PathUnescape,
	}
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "value"))
		for name, read := range readers {
			text, err := Encode(value, []string{name})
			if err != nil {
				if name != "json" {
					t.Fatalf("%s refuses %q: %v", name, value, err)
				}
				continue
			}
			if got, err := read(text); err != nil || got != value {
				t.Fatalf("%s wrote %q of %q, which is read as %q, %v", name, text, value, got, err)
			}
		}
		if got := withSecret(value).Secrets(); !reflect.DeepEqual(got, map[string]string{"key": value}) {
			t.Fatalf("%q came back as %q", value, got)
		}
	})
}

func TestAShellReadsASecretAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 40).Draw(t, "value"))
		text, err := Encode(value, []string{"shell"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+text).Output()
		if err != nil || string(out) != value {
			t.Fatalf("a shell reads %q as %q, %v", text, out, err)
		}
	})
}
