package durable_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/durable"
)

const writerDir = "MUSTER_TEST_WRITER_DIR"

// TestMain turns the test binary into the writer that TestAKilledWriterLeavesWholeContent kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		for i := 0; ; i++ {
			letter := string(rune('a' + i%26))
			if err := durable.WriteFile(filepath.Join(dir, "file"), []byte(strings.Repeat(letter, 1<<20)), 0o640); err != nil {
				panic(err)
			}
			if err := durable.Symlink(letter, filepath.Join(dir, "link")); err != nil {
				panic(err)
			}
			if err := durable.MkdirAll(filepath.Join(dir, "tree", letter, letter), 0o755); err != nil {
				panic(err)
			}
			if err := durable.RemoveAll(filepath.Join(dir, "tree")); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

func TestAKilledWriterLeavesWholeContent(t *testing.T) {
	dir := t.TempDir()
	for round := range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		must(t, cmd.Start())
		time.Sleep(time.Duration(30+7*round) * time.Millisecond)
		must(t, cmd.Process.Kill())
		cmd.Wait()

		must(t, durable.CleanTemp(dir))
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			switch e.Name() {
			case "link":
			case "file":
				data, err := os.ReadFile(filepath.Join(dir, "file"))
				must(t, err)
				info, err := e.Info()
				must(t, err)
				if len(data) != 1<<20 || bytes.Count(data, data[:1]) != len(data) || info.Mode() != 0o640 {
					t.Fatalf("round %d: %d bytes with mode %v, want 1 MiB of one letter, mode 0640", round, len(data), info.Mode())
				}
			case "tree":
				if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o755 {
					t.Fatalf("round %d: tree has mode %v (%v), want 0755", round, info.Mode(), err)
				}
			default:
				t.Fatalf("round %d: %s is left after CleanTemp", round, e.Name())
			}
		}
		must(t, durable.RemoveAll(filepath.Join(dir, "tree")))
	}
}
