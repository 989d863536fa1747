package credential_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/credential"
	"muster/internal/fault"
	"muster/internal/identity"
	"muster/internal/proof"
)

func made(t *testing.T) *credential.Credential {
	t.Helper()
	ca, err := identity.Create(filepath.Join(t.TempDir(), "ca"), "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := proof.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.CheckCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, _, err := ca.IssueOperator(csr, "alice", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &credential.Credential{Cluster: "demo", Operator: "alice", Coordinators: []string{"10.0.0.1:8443"}, Root: ca.RootPEM(), Chain: chain, Key: key}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	c := made(t)
	path := filepath.Join(t.TempDir(), "new", "c.pem")
	f, err := credential.Reserve(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(c); err != nil {
		t.Fatal(err)
	}
	got, err := credential.Read(path)
	if err != nil || got.Operator != "alice" || got.Cluster != "demo" || !slices.Equal(got.Coordinators, c.Coordinators) || !got.Key.Equal(c.Key) || !bytes.Equal(got.Root, c.Root) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := credential.Reserve(path); !errors.Is(err, fault.Conflict) {
		t.Errorf("over one that is there: %v", err)
	}
	if err := os.Symlink(path, path+".link"); err != nil {
		t.Fatal(err)
	}
	if _, err := credential.Reserve(path + ".link"); !errors.Is(err, fault.Conflict) {
		t.Errorf("through a link: %v", err)
	}
}

func TestFilesThatAreNoCredential(t *testing.T) {
	c := made(t)
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	other := made(t)
	foreign := *c
	foreign.Key = other.Key
	if _, err := foreign.Encode(); err == nil {
		t.Error("a key of another certificate was written")
	}
	parts := strings.SplitAfter(string(text), "-----END CERTIFICATE-----\n")
	for name, text := range map[string]string{
		"empty":                  "",
		"half of it":             string(text[:len(text)/2]),
		"twice":                  string(text) + string(text),
		"text before":            "hello\n" + string(text),
		"text between":           parts[0] + "hello\n" + strings.Join(parts[1:], ""),
		"a certificate too many": parts[0] + parts[0][strings.Index(parts[0], "-----BEGIN CERTIFICATE"):] + strings.Join(parts[1:], ""),
		"without its root":       parts[0][:strings.Index(parts[0], "-----BEGIN CERTIFICATE")] + strings.Join(parts[1:], ""),
		"another order":          parts[1] + parts[0] + parts[2] + parts[3],
		"a later format":         strings.Replace(string(text), "eyJmb3JtYXQiOjEs", "eyJmb3JtYXQiOjIs", 1),
	} {
		if got, err := credential.Parse([]byte(text)); err == nil || got != nil {
			t.Errorf("%s is read", name)
		} else if strings.Contains(err.Error(), "PRIVATE KEY-----\nM") {
			t.Errorf("%s: the error shows a key", name)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660} {
		path := filepath.Join(t.TempDir(), "c.pem")
		if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := credential.Read(path); !errors.Is(err, fault.Denied) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if _, err := credential.Read(t.TempDir()); !errors.Is(err, fault.Invalid) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := credential.Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fault.NotFound) {
		t.Errorf("none: %v", err)
	}
}
