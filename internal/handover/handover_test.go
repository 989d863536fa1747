package handover

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"muster/internal/fault"
	"muster/internal/late"
)

func sample() *File {
	return &File{
		Format: Format, Cluster: "demo", Role: "master", Host: "h1", ID: strings.Repeat("0a", 16),
		Secrets: map[string][]byte{"key": []byte("canary\x00\xff\n"), "b": []byte("x")},
	}
}

func encoded(t testing.TB, change func(*File)) []byte {
	t.Helper()
	f := sample()
	if change != nil {
		change(f)
	}
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAFileComesOutAsItWentIn(t *testing.T) {
	got, err := Decode(encoded(t, nil))
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestWhatIsNotSuchAFile(t *testing.T) {
	good := string(encoded(t, nil))
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"no JSON", "canary"},
		{"cut off", good[:len(good)-10]},
		{"something after the end", good + "canary"},
		{"a list", "[]"},
		{"null", "null"},
		{"an unknown key", strings.Replace(good, `"format"`, `"canary": 1, "format"`, 1)},
		{"a key in another case", strings.Replace(good, `"role"`, `"Role"`, 1)},
		{"a key that stands twice", strings.Replace(good, `"role"`, `"role": "canary", "role"`, 1)},
		{"a name that stands twice", strings.Replace(good, `"b"`, `"b": "Y2FuYXJ5", "b"`, 1)},
		{"a value that is not base64", strings.Replace(good, `"eA=="`, `"canary!"`, 1)},
		{"a value that is a number", strings.Replace(good, `"eA=="`, `12345678`, 1)},
		{"another format", string(encoded(t, func(f *File) { f.Format = 2 }))},
		{"no cluster", string(encoded(t, func(f *File) { f.Cluster = "" }))},
		{"a role that is a path", string(encoded(t, func(f *File) { f.Role = "../x" }))},
		{"no id", string(encoded(t, func(f *File) { f.ID = "" }))},
		{"an id that is a path", string(encoded(t, func(f *File) { f.ID = strings.Repeat("/", 32) }))},
		{"an empty value", string(encoded(t, func(f *File) { f.Secrets["b"] = nil }))},
		{"a name that is none", string(encoded(t, func(f *File) { f.Secrets["B"] = []byte("x") }))},
		{"a value that is too long", string(encoded(t, func(f *File) { f.Secrets["b"] = make([]byte, late.MaxSecret+1) }))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode([]byte(c.text))
			if !errors.Is(err, fault.Invalid) || fault.Remedy(err) == "" || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "1234") {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestReadingAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	good := encoded(t, nil)
	for _, c := range []struct {
		name    string
		prepare func() error
		class   fault.Class
		want    string
	}{
		{"there is none", func() error { return nil }, fault.NotFound, "cannot be read"},
		{"others can read it", func() error { return errors.Join(os.WriteFile(path, good, 0o600), os.Chmod(path, 0o644)) }, fault.Denied, "(mode 0644)"},
		{"it is a directory", func() error { return os.Mkdir(path, 0o700) }, fault.NotFound, "not a regular file"},
		{"it is a pipe that nobody writes to", func() error { return syscall.Mkfifo(path, 0o600) }, fault.NotFound, "not a regular file"},
		{"it is endless", func() error { return os.WriteFile(path, bytes.Repeat([]byte(" "), maxFile+1), 0o600) }, fault.NotFound, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(path), c.prepare()); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.want) || fault.Remedy(err) == "" {
				t.Fatalf("error %v", err)
			}
		})
	}
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, good, 0o400)); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(path); err != nil || string(f.Secrets["b"]) != "x" {
		t.Fatalf("%+v, %v", f, err)
	}
}

// Whatever is accepted is what Encode writes, but for blanks, and holds nothing that no secret can be.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, nil))
	f.Add([]byte(`{"format":1,"cluster":"a","role":"b","id":"00000000000000000000000000000000","secrets":{}}`))
	f.Add([]byte(`{"format":1,"cluster":"a","role":"b","id":"00000000000000000000000000000000","secrets":{"a":"QQ=="}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Decode(text)
		if err != nil {
			if fault.Remedy(err) == "" {
				t.Fatal("no remedy")
			}
			return
		}
		values := late.Values{}
		for name, value := range file.Secrets {
			values.SetSecret(name, value)
		}
		if err := late.Validate(values); err != nil {
			t.Fatal(err)
		}
		again, err := file.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if other, err := Decode(again); err != nil || !reflect.DeepEqual(file, other) {
			t.Fatalf("%v: %+v became %+v", err, file, other)
		}
	})
}
