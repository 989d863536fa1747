package sign_test

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/sign"
)

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "deep/alice.key"), filepath.Join(dir, "new") + "/"} {
		file, public, err := sign.GenerateKey(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
		private, err := sign.ReadPrivate(file)
		if err != nil || !public.Equal(private.Public().(ed25519.PublicKey)) {
			t.Errorf("%s comes back as another key, %v", file, err)
		}
		if _, _, err := sign.GenerateKey(file); err == nil {
			t.Errorf("%s was replaced", file)
		}
		if _, err := sign.ReadPublic(file); err == nil || !strings.Contains(err.Error(), "private key") {
			t.Errorf("a private key passes for a public one: %v", err)
		}
		if err := os.Chmod(file, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := sign.ReadPrivate(file); err == nil {
			t.Errorf("%s is used although others can read it", file)
		}
	}
}

func TestPublicKeyFiles(t *testing.T) {
	const pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	for name, test := range map[string]struct {
		text string
		good bool
	}{
		"a line":               {public(1) + "\n", true},
		"as openssl writes it": {pem, true},
		"two of them":          {pem + pem, false},
		"two lines":            {public(1) + "\n" + public(2) + "\n", false},
		"another kind":         {strings.Replace(pem, "MCowBQYDK2VwAyEA", "MCowBQYDK2VuAyEA", 1), false},
		"empty":                {"", false},
	} {
		path := filepath.Join(t.TempDir(), "key.pub")
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := sign.ReadPublic(path); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
