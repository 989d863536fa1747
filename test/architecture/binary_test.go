package architecture

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxSize is what one bootstrap agent may weigh: it goes through one SSH session to each of thousands of hosts.
const maxSize = 10 << 20

func TestTheBootstrapAgentIsSmallAndStatic(t *testing.T) {
	dir := t.TempDir()
	// The script itself builds, so that no flag differs from what is shipped.
	cmd := exec.Command(filepath.Join(root, "scripts", "build"), "--agents", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	for _, c := range []struct {
		arch    string
		machine elf.Machine
	}{{"amd64", elf.EM_X86_64}, {"arm64", elf.EM_AARCH64}} {
		t.Run(c.arch, func(t *testing.T) {
			binary := filepath.Join(dir, "bootstrap-agent-linux-"+c.arch)
			info, err := os.Stat(binary)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes of %d: %.2f MiB", info.Size(), maxSize, float64(info.Size())/(1<<20))
			if info.Size() > maxSize {
				t.Errorf("the bootstrap agent has %d bytes, %d more than it may: go tool nm -size -sort size shows the largest symbols of an unstripped build",
					info.Size(), info.Size()-maxSize)
			}

			f, err := elf.Open(binary)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Machine != c.machine || f.Class != elf.ELFCLASS64 {
				t.Errorf("it is for %v, %v", f.Machine, f.Class)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("it is not static: it has a program header %v", p.Type)
				}
			}
			if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) > 0 {
				t.Errorf("it needs %v", libraries)
			}
			if f.Section(".symtab") != nil || f.Section(".debug_info") != nil || f.Section(".zdebug_info") != nil {
				t.Error("it is not stripped")
			}
		})
	}
}
