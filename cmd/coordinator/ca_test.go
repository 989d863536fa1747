package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/identity"
)

// runCA runs a command on a state directory and answers what it said.
func runCA(t *testing.T, state string, args ...string) (out string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	root := rootCommand()
	root.SetArgs(append([]string{"--state", state, "ca"}, args...))
	root.SetIn(new(bytes.Buffer))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = exitCode(&stderr, root.ExecuteContext(t.Context()))
	return stdout.String() + stderr.String(), code
}

func caIn(t *testing.T) (state, keyFile string) {
	t.Helper()
	state = t.TempDir()
	if _, err := identity.Create(filepath.Join(state, "ca"), "demo", time.Now()); err != nil {
		t.Fatal(err)
	}
	return state, filepath.Join(state, "ca", "root.key")
}

func TestTheRootsKeyIsExportedAndImported(t *testing.T) {
	for name, encrypted := range map[string]bool{"in the clear": false, "with a passphrase": true} {
		t.Run(name, func(t *testing.T) {
			state, keyFile := caIn(t)
			key, err := os.ReadFile(keyFile)
			if err != nil {
				t.Fatal(err)
			}
			copied, word := filepath.Join(t.TempDir(), "copy"), filepath.Join(t.TempDir(), "word")
			if err := os.WriteFile(word, []byte("correct horse\nmore\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var secret []string
			if encrypted {
				secret = []string{"--passphrase-file", word}
			}
			if out, code := runCA(t, state, append([]string{"export", "--out", copied}, secret...)...); code != 0 {
				t.Fatal(out)
			}
			if _, err := os.Stat(keyFile); err != nil {
				t.Error("it is gone without --remove")
			}
			text, err := os.ReadFile(copied)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(copied); err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if bytes.Contains(text, key[40:80]) == encrypted {
				t.Errorf("encrypted: %v, but the copy is\n%s", encrypted, text)
			}
			// What is there is not replaced, and nothing is removed then.
			if out, code := runCA(t, state, "export", "--out", word, "--remove"); code != 1 || !strings.Contains(out, "is no copy of this key") {
				t.Errorf("%d, %s", code, out)
			}
			if _, err := os.Stat(keyFile); err != nil {
				t.Error("it is gone without a copy")
			}
			if out, code := runCA(t, state, append([]string{"export", "--out", copied, "--remove"}, secret...)...); code != 0 {
				t.Fatal(out)
			}
			if again, err := os.ReadFile(copied); err != nil || !bytes.Equal(again, text) {
				t.Error("the copy was replaced")
			}
			if _, err := os.Stat(keyFile); err == nil {
				t.Error("it is still there")
			}
			if out, code := runCA(t, state, append([]string{"import", copied}, secret...)...); code != 0 {
				t.Fatal(out)
			}
			if back, err := os.ReadFile(keyFile); err != nil || !bytes.Equal(back, key) {
				t.Errorf("another key came back, %v", err)
			}
		})
	}
}

func TestAKeyThatCannotBeExportedOrImportedStaysWhereItIs(t *testing.T) {
	state, keyFile := caIn(t)
	_, foreignKey := caIn(t)
	wrong, copied := filepath.Join(t.TempDir(), "wrong"), filepath.Join(t.TempDir(), "copy")
	right := wrong + "2"
	for path, text := range map[string]string{wrong: "wrong\n", right: "right\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := runCA(t, state, "export", "--out", copied, "--passphrase-file", right); code != 0 {
		t.Fatal(out)
	}
	before, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"to no file":                           {[]string{"export", "--remove"}, 2, "--out FILE"},
		"to a directory that is missing":       {[]string{"export", "--remove", "--out", filepath.Join(state, "none", "copy")}, 1, "none"},
		"with two passphrases":                 {[]string{"export", "--remove", "--out", copied + "3", "--passphrase", "--passphrase-file", right}, 2, "exclude each other"},
		"with a passphrase and no terminal":    {[]string{"export", "--remove", "--out", copied + "4", "--passphrase"}, 2, "--passphrase-file"},
		"with a passphrase file that is empty": {[]string{"export", "--remove", "--out", copied + "5", "--passphrase-file", os.DevNull}, 1, "is empty"},
		"another root's back":                  {[]string{"import", foreignKey}, 1, "it belongs to another root"},
		"back with the wrong passphrase":       {[]string{"import", copied, "--passphrase-file", wrong}, 1, "cannot be decrypted"},
		"back with no passphrase":              {[]string{"import", copied}, 2, "--passphrase-file"},
		"back from nowhere":                    {[]string{"import", copied + "6"}, 1, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, code := runCA(t, state, c.args...); code != c.code || !strings.Contains(out, c.want) || strings.Contains(out, "right") {
				t.Errorf("%d, %s", code, out)
			}
			if after, err := os.ReadFile(keyFile); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the key is another: %v", err)
			}
		})
	}
}
