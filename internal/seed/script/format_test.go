package script_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"muster/internal/seed/script"
)

func TestTypicalUserDataIsShort(t *testing.T) {
	// Multipart has some 200 bytes of headers.
	for format, most := range map[script.Format]int{script.CloudConfig: 4096, script.Script: 4096, script.Ignition: 4096, script.MIME: 4300} {
		s := testSeed("http://10.77.0.1:8080")
		s.Labels, s.Expires = map[string]string{"zone": "a"}, time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		text, err := script.UserData(s, format)
		if err != nil || len(text) > most {
			t.Errorf("%s has %d bytes, want %d at most (error %v)", format, len(text), most, err)
		}
		t.Logf("%s: %d bytes", format, len(text))
	}
}

// inside takes the script out of user-data as what reads it does.
var inside = map[script.Format]func(t *testing.T, text []byte) string{
	script.MIME: func(t *testing.T, text []byte) string {
		m, err := mail.ReadMessage(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/mixed" {
			t.Fatal(kind, err)
		}
		parts := multipart.NewReader(m.Body, params["boundary"])
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/x-shellscript") || part.FileName() != "join-demo.sh" {
			t.Errorf("a part of type %s named %s", got, part.FileName())
		}
		code, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("after the part: %v", err)
		}
		return string(code)
	},
	script.Ignition: func(t *testing.T, text []byte) string {
		var c struct {
			Storage struct {
				Files []struct {
					Path     string
					Mode     int
					Contents struct {
						Source       string
						Verification struct{ Hash string }
					}
				}
			}
			Systemd struct {
				Units []struct{ Name, Contents string }
			}
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		f := c.Storage.Files[0]
		packed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f.Contents.Source, "data:;base64,"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		code, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha512.Sum512(code)
		if f.Mode != 0o600 || f.Contents.Verification.Hash != "sha512-"+hex.EncodeToString(sum[:]) {
			t.Errorf("mode %o, hash %s", f.Mode, f.Contents.Verification.Hash)
		}
		if u := c.Systemd.Units[0]; u.Name != "join-demo.service" || !strings.Contains(u.Contents, "ExecStart=/bin/sh "+f.Path+"\n") || strings.Contains(u.Contents, "mt1.") {
			t.Errorf("the unit is %+v", u)
		}
		return string(code)
	},
}

func TestEachFormatHasTheWholeScript(t *testing.T) {
	want, err := script.UserData(testSeed("http://a"), script.Script)
	if err != nil {
		t.Fatal(err)
	}
	for format, read := range inside {
		t.Run(string(format), func(t *testing.T) {
			text, err := script.UserData(testSeed("http://a"), format)
			if err != nil {
				t.Fatal(err)
			}
			code := strings.Replace(read(t, text), "systemctl start join-demo.service", "cloud-init single -n scripts_user --frequency always", 1)
			if code != string(want) {
				t.Errorf("the script is\n%s", code)
			}
			again, err := script.UserData(testSeed("http://a"), format)
			if err != nil || !bytes.Equal(again, text) {
				t.Errorf("it is another each time (error %v)", err)
			}
		})
	}
}

func TestUserDataThatIsTooLongIsRefused(t *testing.T) {
	for _, format := range script.Formats {
		s := testSeed("http://a")
		for i := range 31 {
			s.Sources = append(s.Sources, "http://mirror/"+noise(i, 240))
		}
		text, err := script.UserData(s, format)
		if format == script.Ignition {
			// Packed, the longest seed still fits.
			if err != nil || len(text) > script.MaxUserData {
				t.Errorf("%s: %d bytes, %v", format, len(text), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "clouds take 16384: give fewer") {
			t.Errorf("%s: %d bytes, got %v", format, len(text), err)
		}
	}
}
