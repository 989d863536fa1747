package script_test

import (
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"muster/internal/manifest"
	"muster/internal/seed"
)

// The host's own word chooses between two agents that differ, and it asks for no other.
func TestUserDataStartsTheAgentOfTheHostsOwnArchitecture(t *testing.T) {
	for machine, arch := range map[string]manifest.Arch{"aarch64": "arm64", "arm64": "arm64", "x86_64": "amd64"} {
		t.Run(machine, func(t *testing.T) {
			t.Parallel()
			agents := map[string]string{}
			s := testSeed()
			for _, a := range []manifest.Arch{"amd64", "arm64"} {
				text := strings.Replace(agent, "\n", "\necho "+string(a)+" >\"$RECORD/architecture\"\n", 1)
				b := blobOf(text)
				agents[string(b.Digest)] = text
				s.Agents[a] = seed.Agent{Digest: b.Digest, Size: b.Size}
			}
			var mu sync.Mutex
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked = append(asked, path.Base(r.URL.Path))
				mu.Unlock()
				_, _ = w.Write([]byte(agents[path.Base(r.URL.Path)]))
			}))
			t.Cleanup(server.Close)
			s.Sources = []string{server.URL}
			h := newHost(t, "curl", "sha256sum")
			h.fake("uname", "echo "+machine)
			if out, code := h.script("sh", impatient(t, s, 2)); code != 0 {
				t.Fatalf("exit code %d:\n%s", code, out)
			}
			if got := strings.TrimSpace(h.recorded("architecture")); got != string(arch) {
				t.Errorf("a host that is %s started the agent for %q", machine, got)
			}
			if len(asked) != 1 || asked[0] != string(s.Agents[arch].Digest) {
				t.Errorf("asked for %v, want the agent for %s alone", asked, arch)
			}
			h.clean()
		})
	}
}
