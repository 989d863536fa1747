package identity_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"muster/internal/identity"
)

func TestTokenSurvivesItsText(t *testing.T) {
	for range 1000 {
		token := newToken(t)
		text := token.Reveal()
		if len(text) != 60 || !strings.HasPrefix(text, "mt1.") {
			t.Fatalf("%q", text)
		}
		again, err := identity.ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		if again.Reveal() != text || again.ID() != token.ID() || again.Hash() != token.Hash() {
			t.Fatal("another token came back")
		}
	}
}

func TestTokenHashIsOfTheSecretsBytes(t *testing.T) {
	token, err := identity.NewToken(bytes.NewReader(make([]byte, 44)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "mt1.aaaaaaaaaaaa." + strings.Repeat("A", 43); token.Reveal() != want {
		t.Errorf("got %q, want %q", token.Reveal(), want)
	}
	if token.Hash() != sha256.Sum256(make([]byte, 32)) {
		t.Error("another hash")
	}
}

func TestNewTokenFailsWithoutRandomness(t *testing.T) {
	for _, n := range []int{0, 11, 12, 43} {
		if token, err := identity.NewToken(bytes.NewReader(make([]byte, n))); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || token.Reveal() != "" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestParseTokenRefuses(t *testing.T) {
	const id = "abcdefghij23"
	secret := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16)) // holds - and _
	good := "mt1." + id + "." + secret
	if _, err := identity.ParseToken(good); err != nil || !strings.ContainsAny(secret, "-_") {
		t.Fatal(err)
	}
	// The last character carries four bits of the secret and two that are zero.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, secret[42])
	cases := map[string]string{
		"nothing":                     "",
		"only dots":                   "..",
		"another version":             "mt2." + good[4:],
		"an upper-case prefix":        "MT1." + good[4:],
		"a space before":              " " + good,
		"a line end after":            good + "\n",
		"a line end within":           good[:30] + "\n" + good[31:],
		"a line end for a character":  good[:59] + "\n",
		"a return for a character":    good[:59] + "\r",
		"an upper-case ID":            "mt1." + strings.ToUpper(id) + "." + secret,
		"an ID outside base32":        "mt1." + "abcdefghij01" + "." + secret,
		"a short ID, a long secret":   "mt1." + id[1:] + "." + secret + "A",
		"a long ID, a short secret":   "mt1." + id + "a." + secret[1:],
		"a fourth part":               "mt1." + id + "." + secret[:41] + ".A",
		"standard base64":             "mt1." + id + "." + strings.NewReplacer("-", "+", "_", "/").Replace(secret),
		"padding for a character":     good[:59] + "=",
		"padding after":               good + "=",
		"a character outside base64":  good[:40] + "*" + good[41:],
		"a NUL":                       good[:40] + "\x00" + good[41:],
		"the redacted form":           "mt1." + id + ".[secret]",
		"a megabyte":                  strings.Repeat("A", 1<<20),
		"bytes that are not UTF-8":    "mt1." + id + "." + strings.Repeat("\xff", 43),
		"a secret of letters not one": "mt1." + id + "." + strings.Repeat("é", 21) + "A",
	}
	for bits := 1; bits < 4; bits++ {
		cases[fmt.Sprintf("stray bits %02b at the end", bits)] = good[:59] + string(alphabet[last+bits])
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			token, err := identity.ParseToken(text)
			if !errors.Is(err, identity.ErrToken) || token.Reveal() != "" || token.ID() != "" {
				t.Fatalf("accepted as %v, error %v", token, err)
			}
			if len(text) > 40 && strings.Contains(err.Error(), text[17:40]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestTokenDoesNotLeak(t *testing.T) {
	token := newToken(t)
	secret := strings.Split(token.Reveal(), ".")[2]
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct {
		Name  string
		token identity.Token // fmt does not call methods on this
		ptr   *identity.Token
	}
	type shown struct{ Token identity.Token }
	values := map[string]any{
		"a token": token, "a pointer": &token, "a field": shown{token}, "an unexported field": hidden{"x", token, &token},
		"a pointer to an unexported field": &hidden{"x", token, &token}, "a slice": []identity.Token{token},
		"a map": map[string]identity.Token{"a": token}, "an interface": []any{token},
		"an error": fmt.Errorf("token %v", token),
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%b", "%t", "% x", "%08.3f", "%U", "%c"} {
			wantNoSecret(t, name+" with "+verb, fmt.Sprintf(verb, v), secret, raw)
		}
		if text, err := json.Marshal(v); err == nil {
			wantNoSecret(t, name+" as JSON", string(text), secret, raw)
		}
		if text, err := xml.Marshal(v); err == nil {
			wantNoSecret(t, name+" as XML", string(text), secret, raw)
		}
		var buf bytes.Buffer
		if err := gob.NewEncoder(&buf).Encode(v); err == nil {
			wantNoSecret(t, name+" as gob", buf.String(), secret, raw)
		}
		buf.Reset()
		slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "v", v)
		wantNoSecret(t, name+" in a log", buf.String(), secret, raw)
	}
	if got, want := fmt.Sprintf("%v %+v %#v %s", token, token, token, token), string(token.ID()); strings.Count(got, want) != 4 {
		t.Errorf("the ID should show: %s", got)
	}
	if text, err := json.Marshal(shown{token}); err != nil || string(text) != `{"Token":"mt1.`+string(token.ID())+`.[secret]"}` {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

func wantNoSecret(t *testing.T, what, text, secret string, raw []byte) {
	t.Helper()
	for _, form := range []string{secret, string(raw), fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprintf("% x", raw),
		strings.Trim(fmt.Sprint(raw), "[]"), strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}")} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret: %s", what, text)
		}
	}
}

// FuzzToken holds ParseToken to one text for each token.
func FuzzToken(f *testing.F) {
	token, err := identity.NewToken(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{token.Reveal(), "", "mt1..", "mt1.aaaaaaaaaaaa." + strings.Repeat("A", 43), "mt1.aaaaaaaaaaaa." + strings.Repeat("A", 42) + "B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := identity.ParseToken(text)
		if err != nil {
			if err != identity.ErrToken || token.Reveal() != "" {
				t.Fatalf("error %v and token %v", err, token)
			}
			return
		}
		if token.Reveal() != text {
			t.Fatalf("%q is another text for %q", text, token.Reveal())
		}
		if strings.Contains(fmt.Sprintf("%v%+v%#v", token, token, token), text[17:]) {
			t.Fatal("it shows its secret")
		}
	})
}
