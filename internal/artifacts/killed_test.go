package artifacts_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/config"
)

// childSite makes the test program generate from the site there.
const childSite = "MUSTER_GENERATE_SITE"

func TestMain(m *testing.M) {
	dir := os.Getenv(childSite)
	if dir == "" {
		os.Exit(m.Run())
	}
	s := site{dir: dir}
	cluster, problems := config.LoadCluster(s.path("demo/cluster.yaml"))
	if problems.Err() == nil {
		if _, err := artifacts.Generate(context.Background(), cluster, s.options()); err == nil {
			os.Exit(0)
		}
	}
	os.Exit(1)
}

// Whenever generating is killed, what was there is whole, or what was to be there is; and the next run clears up.
func TestAKilledGenerationDamagesNothing(t *testing.T) {
	s := newSite(t)
	big := make([]byte, 4<<20)
	_, _ = rand.Read(big)
	s.must(os.WriteFile(s.path("demo/packages/app/amd64/share/words"), big, 0o644))
	known := map[string]bool{string(s.generate().ConfigID): true}
	began := time.Now()
	s.edit("demo/cluster.yaml", "hosts:", "parameters: {port: 5000}\nhosts:")
	known[string(s.generate().ConfigID)] = true
	usual := time.Since(began) + 50*time.Millisecond
	kept, replaced, left := 0, 0, 0
	for round := range 20 {
		s.edit("demo/cluster.yaml", fmt.Sprintf("port: %d", 5000+round), fmt.Sprintf("port: %d", 5001+round))
		big[0]++
		s.must(os.WriteFile(s.path("demo/packages/app/amd64/share/words"), big, 0o644))
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childSite+"="+s.dir)
		s.must(child.Start())
		time.Sleep(mathrand.N(usual))
		_ = child.Process.Kill()
		_ = child.Wait()
		if found, _ := filepath.Glob(s.path("out/.genconf-*")); len(found) > 0 {
			left++
		}
		g, _, err := artifacts.Load(s.out())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		report, err := artifacts.Audit(t.Context(), s.out(), artifacts.AuditOptions{})
		if err != nil || len(report.Problems) > 0 {
			t.Fatalf("round %d: %v %v", round, err, report)
		}
		if known[string(g.ConfigID)] {
			kept++
		} else {
			replaced++
		}
		known[string(g.ConfigID)] = true
	}
	s.generate()
	entries, err := os.ReadDir(s.path("out"))
	s.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "genconf" {
		t.Errorf("left behind: %s", got)
	}
	t.Logf("of 20 killed runs %d left the previous generation, %d the new one, %d something to clear up", kept, replaced, left)
	if kept == 0 {
		t.Error("no run was killed in the middle")
	}
}
