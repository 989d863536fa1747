package main

import "testing"

func TestFilesAreLeftForTheStoreAndTheOperator(t *testing.T) {
	for _, files := range []int{512, 1024, 20_000, 1 << 20} {
		hosts, downloads, err := divide(files)
		if err != nil || hosts < 128 || downloads < 32 || hosts+2*downloads != files-reservedFiles {
			t.Errorf("%d files: %d hosts, %d downloads, %v", files, hosts, downloads, err)
		}
	}
	if hosts, _, _ := divide(20_000); hosts < 15_000 {
		t.Errorf("with 20,000 files %d hosts can be connected, want 15,000", hosts)
	}
	if _, _, err := divide(100); err == nil {
		t.Error("100 files are taken to be enough")
	}
}
