package artifacts_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"muster/internal/artifacts"
)

// BenchmarkGenerate has 64 MiB of packages, half of it hard to compress.
func BenchmarkGenerate(b *testing.B) {
	s := newSite(b)
	random := rand.NewChaCha8([32]byte{})
	for _, arch := range []string{"amd64", "arm64"} {
		data := make([]byte, 32<<20)
		if _, err := random.Read(data[:16<<20]); err != nil {
			b.Fatal(err)
		}
		s.must(os.WriteFile(s.path("demo/packages/app/"+arch+"/bin/large"), data, 0o755))
	}
	c := s.load()
	b.Run("first", func(b *testing.B) {
		b.SetBytes(64 << 20)
		for b.Loop() {
			s.must(os.RemoveAll(s.out()))
			if _, err := artifacts.Generate(b.Context(), c, s.options()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("over the previous", func(b *testing.B) {
		b.SetBytes(64 << 20)
		for b.Loop() {
			if _, err := artifacts.Generate(b.Context(), c, s.options()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
