package proof_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"muster/internal/proof"
)

func TestNewHostIDIsDistinctAndParses(t *testing.T) {
	seen := map[proof.HostID]bool{}
	for range 50_000 {
		id, err := proof.NewHostID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if seen[id] {
			t.Fatalf("%s was drawn twice", id)
		}
		seen[id] = true
		if parsed, err := proof.ParseHostID(string(id)); err != nil || parsed != id {
			t.Fatalf("ParseHostID(%q) = %q, %v", id, parsed, err)
		}
	}
}

func TestNewHostIDDependsOnItsRandomnessOnly(t *testing.T) {
	id, err := proof.NewHostID(bytes.NewReader([]byte{0, 1, 25, 26, 31, 32, 255, 0, 0, 0, 0, 0, 0}))
	if want := proof.HostID("h-abz27a7aaaaaa"); err != nil || id != want {
		t.Errorf("got %q, %v; want %q", id, err, want)
	}
}

func TestNewHostIDFailsWithoutRandomness(t *testing.T) {
	if id, err := proof.NewHostID(bytes.NewReader([]byte("short"))); !errors.Is(err, io.ErrUnexpectedEOF) || id != "" {
		t.Errorf("from a short source: %q, %v", id, err)
	}
	cause := errors.New("no entropy")
	if _, err := proof.NewHostID(iotest.ErrReader(cause)); !errors.Is(err, cause) {
		t.Errorf("from a failing source: %v", err)
	}
}

func TestParseHostIDRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":                 "",
		"only the prefix":         "h-",
		"no prefix":               "aaaaaaaaaaaaa",
		"one character too few":   "h-aaaaaaaaaaaa",
		"one character too many":  "h-aaaaaaaaaaaaaa",
		"upper case":              "h-AAAAAAAAAAAAA",
		"upper-case prefix":       "H-aaaaaaaaaaaaa",
		"a digit outside base32":  "h-aaaaaa1aaaaaa",
		"a foreign character":     "h-aaaaaa/aaaaaa",
		"a space at the end":      "h-aaaaaaaaaaaa ",
		"a line end at the end":   "h-aaaaaaaaaaaaa\n",
		"padding":                 "h-aaaaaaaaaaaa=",
		"letters of two bytes":    "h-aaaaaaaaaaaé",
		"a NUL in the middle":     "h-aaaaaa\x00aaaaaa",
		"a path that goes higher": "h-../aaaaaaaaaa",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := proof.ParseHostID(s); err == nil || id != "" {
				t.Errorf("ParseHostID(%q) = %q, %v", s, id, err)
			}
		})
	}
}
