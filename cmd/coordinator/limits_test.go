package main

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// crowded is a door that has turned some away.
type crowded struct{ net.Listener }

func (crowded) Lost() (refused, shed int64) { return 2, 3 }

func TestACrowdIsToldOfOnce(t *testing.T) {
	var log strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if err := tellOfCrowds(ctx, slog.New(slog.NewTextHandler(&log, nil)), 10*time.Millisecond, map[string]net.Listener{"hosts": crowded{}}); err != nil {
		t.Error(err)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "door=hosts connections=5") {
		t.Errorf("the log says %q", log.String())
	}
}

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
