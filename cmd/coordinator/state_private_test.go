package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAStateThatOthersCanWriteIsNotUsed(t *testing.T) {
	for _, mode := range []os.FileMode{0o777, 0o1777, 0o770, 0o702} {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "can be written by others") {
			t.Errorf("%v: %v", mode, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%v: %v is written, %v", mode, left, err)
		}
	}
	if os.Getuid() == 0 {
		dir := t.TempDir()
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "belongs to the user with the number 65534") {
			t.Error(err)
		}
	}
	store, err := openState(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
