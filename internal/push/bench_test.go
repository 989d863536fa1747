package push

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// BenchmarkUpload compares a whole push of a 10 MiB agent with what plain ssh needs for the upload alone.
func BenchmarkUpload(b *testing.B) {
	s := startSSHD(b)
	content := make([]byte, 10<<20)
	_, _ = rand.Read(content)
	file := filepath.Join(b.TempDir(), "agent")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("push", func(b *testing.B) {
		opts := s.options(shellAgent("true", 10<<20))
		for b.Loop() {
			if r := s.push(opts); r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	})
	b.Run("plain ssh", func(b *testing.B) {
		for b.Loop() {
			in, err := os.Open(file)
			if err != nil {
				b.Fatal(err)
			}
			cmd := exec.Command("ssh", "-F", "none", "-i", s.key, "-o", "UserKnownHostsFile="+s.known, "-p", strconv.Itoa(s.port),
				s.user+"@127.0.0.1", "f=$(mktemp); cat >$f; rm $f")
			cmd.Stdin = in
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%s: %s", err, out)
			}
			_ = in.Close()
		}
	})
}
