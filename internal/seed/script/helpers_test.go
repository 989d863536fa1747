package script_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/manifest"
	"muster/internal/seed"
)

var update = flag.Bool("update", false, "write the golden files anew")

//go:embed testdata/ca.pem
var ca string

const token = "mt1.abcdefghijkl.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// agent stands in for the bootstrap agent: it tells what it was called with.
const agent = `#!/bin/sh
# A copy is kept: the scripts remove what they made.
echo "$@" >"$RECORD/arguments"
echo "$0" >"$RECORD/program"
[ "$1" != launch ] || { cp -p "$2" "$RECORD/seed"; }
echo "the agent says this"
exit "${AGENT_EXIT:-0}"
`

func blobOf(data string) manifest.Blob {
	sum := sha256.Sum256([]byte(data))
	return manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(sum[:])), Size: int64(len(data))}
}

func testSeed(sources ...string) *seed.Seed {
	b := blobOf(agent)
	return &seed.Seed{
		Format: 1, Cluster: "demo", Coordinators: []string{"10.77.0.1:8443"}, CA: ca, Token: token,
		Agents:  map[manifest.Arch]seed.Agent{"amd64": {Digest: b.Digest, Size: b.Size}, "arm64": {Digest: b.Digest, Size: b.Size}},
		Sources: sources,
		// What would break a script that quotes carelessly.
		Labels: map[string]string{"zone": "a", "rack": `'"$(touch /tmp/x)"' \ %s`},
	}
}

func testGeneration() *manifest.Generation {
	return &manifest.Generation{
		Format: 1, Cluster: "demo", ConfigID: manifest.ConfigID(strings.Repeat("0123", 16)),
		Coordinator: manifest.Coordinator{Addresses: []string{"10.77.0.1", "coordinator.example.com"}, HTTPPort: 8080, GRPCPort: 8443},
		Roles: []manifest.RoleEntry{
			{Name: "master", Count: 3, Manifest: blobOf("manifest of master")},
			{Name: "public-agent", Manifest: blobOf("manifest of public-agent")},
		},
		Agents: map[manifest.Arch]manifest.Blob{"amd64": blobOf(agent), "arm64": blobOf(agent)},
	}
}

// server serves blobs as the coordinator does; answer may do something else with the n-th request.
func server(t *testing.T, answer func(w http.ResponseWriter, n int64) bool) string {
	t.Helper()
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		if answer != nil && answer(w, n) {
			return
		}
		if r.URL.Path != "/"+manifest.BlobPath(blobOf(agent).Digest) {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(agent))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// host is a place where scripts run with a PATH that has only some tools.
type host struct {
	t                 *testing.T
	bin, work, record string
	env               []string
}

// plain is what every minimal image has.
var plain = strings.Fields("cat chmod cp dd dirname id mktemp od rm timeout touch uname")

func newHost(t *testing.T, tools ...string) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{t: t, bin: filepath.Join(dir, "bin"), work: filepath.Join(dir, "work"), record: filepath.Join(dir, "record")}
	for _, d := range []string{h.bin, h.work, h.record} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range append(plain, tools...) {
		h.link(tool)
	}
	// Waits are seen, not spent; and root is played.
	h.fake("sleep", `echo "$1" >>"$RECORD/sleeps"`)
	h.fake("id", "echo 0")
	return h
}

// link puts a tool into the PATH; busybox:wget is busybox' own.
func (h *host) link(tool string) {
	h.t.Helper()
	program, applet, ok := strings.Cut(tool, ":")
	if !ok {
		applet = tool
	}
	path := "/usr/bin/" + program
	if _, err := os.Stat(path); err != nil {
		h.t.Skipf("needs %s: %v", program, err)
	}
	if err := os.Symlink(path, filepath.Join(h.bin, applet)); err != nil {
		h.t.Fatal(err)
	}
}

// fake replaces a tool by a script.
func (h *host) fake(tool, code string) {
	h.t.Helper()
	path := filepath.Join(h.bin, tool)
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+code+"\n"), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// run runs a program with arguments, and gives everything that it printed and its exit code.
func (h *host) run(stdin string, argv ...string) (output string, code int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	program, err := exec.LookPath(argv[0])
	if err != nil {
		h.t.Skip(err)
	}
	c := exec.CommandContext(ctx, program, argv[1:]...)
	c.Env = append([]string{"PATH=" + h.bin, "RECORD=" + h.record, "MUSTER_WORK_DIR=" + h.work}, h.env...)
	c.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	if ctx.Err() != nil {
		h.t.Fatalf("it hangs; so far:\n%s", out.String())
	}
	if c.ProcessState == nil {
		h.t.Fatal(err)
	}
	return out.String(), c.ProcessState.ExitCode()
}

// script saves a text and runs it with a shell, such as "dash" or "busybox sh".
func (h *host) script(shell string, text []byte, args ...string) (output string, code int) {
	h.t.Helper()
	path := filepath.Join(h.record, "script.sh")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		h.t.Fatal(err)
	}
	return h.run("", append(append(strings.Fields(shell), path), args...)...)
}

// recorded is what the agent, or a fake tool, wrote; "" if it never ran.
func (h *host) recorded(name string) string {
	data, err := os.ReadFile(filepath.Join(h.record, name))
	if err != nil {
		return ""
	}
	return string(data)
}

// clean says whether nothing is left in the work directory.
func (h *host) clean() {
	h.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(h.work, "*")); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
	}
}

// noise is n letters that do not compress well, others for each i.
func noise(i, n int) string {
	var text []byte
	for at := byte(0); len(text) < n; at++ {
		sum := sha256.Sum256([]byte{byte(i), at})
		text = append(text, hex.EncodeToString(sum[:])...)
	}
	return string(text[:n])
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v); if it should, run go test -update; got\n%s", name, err, got)
	}
}

func shellcheck(t *testing.T, text []byte) {
	t.Helper()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("needs shellcheck")
	}
	c := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "--enable=quote-safe-variables", "-")
	c.Stdin = bytes.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}
