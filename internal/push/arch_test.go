package push

import (
	"path/filepath"
	"testing"

	"muster/internal/manifest"
)

// The host's own word chooses between two agents that differ: nobody says beforehand what it is.
func TestEachHostGetsTheAgentOfItsOwnArchitecture(t *testing.T) {
	for machine, arch := range map[string]manifest.Arch{"aarch64": "arm64", "arm64": "arm64", "x86_64": "amd64"} {
		t.Run(machine, func(t *testing.T) {
			s := startSSHD(t)
			s.unprivileged(sudoWorks)
			s.program("uname", `/usr/bin/uname "$@" | sed "s/$(/usr/bin/uname -m)/`+machine+`/"`+"\n")
			record := filepath.Join(t.TempDir(), "architecture")
			options := s.options(Binary{})
			for a := range options.Agents {
				options.Agents[a] = shellAgent("echo "+string(a)+" >"+record, 200_000)
			}
			if options.Agents["amd64"].Digest == options.Agents["arm64"].Digest {
				t.Fatal("the agents are the same")
			}
			if r := s.push(options); r.Err != nil {
				t.Fatalf("%s\n%s", r.Err, r.Err.Remedy)
			}
			if got := read(t, record); got != string(arch)+"\n" {
				t.Errorf("a host that is %s was started the agent for %q", machine, got)
			}
		})
	}
}
