package artifacts_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/config"
)

// large is a site with three roles and 200 MiB of packages, half of it hard to compress.
func large(b *testing.B) site {
	b.Helper()
	s := newSite(b)
	s.edit("demo/bundle.yaml", "  worker:\n", "  edge:\n    summary: Third\n  worker:\n")
	s.edit("demo/bundle.yaml", "roles: [master, worker]\n    sources", "roles: [master, worker, edge]\n    sources")
	random := rand.NewChaCha8([32]byte{})
	for _, arch := range []string{"amd64", "arm64"} {
		for n := range 5 {
			data := make([]byte, 20<<20)
			if _, err := random.Read(data[:10<<20]); err != nil {
				b.Fatal(err)
			}
			s.must(os.WriteFile(s.path(fmt.Sprintf("demo/packages/app/%s/share/large-%d", arch, n)), data, 0o644))
		}
	}
	return s
}

// BenchmarkGenerateAgain200MB generates with one parameter changed each time, config loaded anew as genconf does, the
// three generations before kept. written-B is what a run writes: all that is not linked from the one before.
func BenchmarkGenerateAgain200MB(b *testing.B) {
	s := large(b)
	opts := s.options()
	opts.Keep = 3
	generate := func(port int) {
		data, err := os.ReadFile(s.path("demo/cluster.yaml"))
		s.must(err)
		text, _, _ := strings.Cut(string(data), "parameters:")
		s.write("demo/cluster.yaml", text+fmt.Sprintf("parameters: {port: %d}\n", port))
		_, err = artifacts.Generate(b.Context(), s.load(), opts)
		s.must(err)
	}
	generate(4000)
	port := 4000
	for b.Loop() {
		port++
		generate(port)
	}
	before := inodes(b, s.out())
	generate(port + 1)
	var written int64
	for inode, size := range inodes(b, s.out()) {
		if _, old := before[inode]; !old {
			written += size
		}
	}
	b.ReportMetric(float64(written), "written-B")
}

// BenchmarkAudit200MB reads all of it, as verify does.
func BenchmarkAudit200MB(b *testing.B) {
	s := large(b)
	s.generate()
	b.SetBytes(200 << 20)
	for b.Loop() {
		a, err := artifacts.Audit(b.Context(), s.out(), artifacts.AuditOptions{Now: time.Now()})
		if err != nil || len(a.Problems) > 0 {
			b.Fatal(a, err)
		}
	}
}

// BenchmarkGenerate50000Hosts validates and generates a cluster.yaml that lists so many. peak-MB is the highest that the
// heap was found at.
func BenchmarkGenerate50000Hosts(b *testing.B) {
	s := newSite(b)
	var list strings.Builder
	for n := range 50_000 {
		fmt.Fprintf(&list, "  - {address: 10.%d.%d.%d, name: node-%d, role: worker, labels: {zone: z%d}}\n", 100+n>>16, n>>8&255, n&255, n, n%3)
	}
	data, err := os.ReadFile(s.path("demo/cluster.yaml"))
	s.must(err)
	s.write("demo/cluster.yaml", string(data)+list.String())
	var validating, generating time.Duration
	runs := 0
	peak := watchHeap(b)
	for b.Loop() {
		began := time.Now()
		c, problems := config.LoadCluster(s.path("demo/cluster.yaml"))
		if problems.Err() != nil {
			b.Fatal(problems)
		}
		validating += time.Since(began)
		began = time.Now()
		if _, err := artifacts.Generate(b.Context(), c, s.options()); err != nil {
			b.Fatal(err)
		}
		generating += time.Since(began)
		runs++
	}
	b.ReportMetric(peak(), "peak-MB")
	b.ReportMetric(validating.Seconds()/float64(runs), "validate-s")
	b.ReportMetric(generating.Seconds()/float64(runs), "generate-s")
}

// watchHeap looks at the heap until the result is asked for.
func watchHeap(b *testing.B) (peakMB func() float64) {
	var once sync.Once
	stop, done := make(chan struct{}), make(chan struct{})
	var peak uint64
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse+m.StackInuse)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	end := func() { once.Do(func() { close(stop); <-done }) }
	b.Cleanup(end)
	return func() float64 { end(); return float64(peak) / 1e6 }
}

// inodes are the files below a directory by their numbers.
func inodes(b *testing.B, dir string) map[uint64]int64 {
	b.Helper()
	all := map[uint64]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[info.Sys().(*syscall.Stat_t).Ino] = info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}
