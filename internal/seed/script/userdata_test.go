package script_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"muster/internal/seed"
	"muster/internal/seed/script"
)

// userData gives up after 25 tries, so that a failing test ends.
func userData(t *testing.T, sources ...string) []byte {
	t.Helper()
	return impatient(t, testSeed(sources...), 25)
}

func impatient(t *testing.T, s *seed.Seed, tries int) []byte {
	t.Helper()
	text, err := script.UserData(s, script.Script)
	if err != nil {
		t.Fatal(err)
	}
	const patient = "tries='1500'"
	if !strings.Contains(string(text), patient) {
		t.Fatalf("no %s in the script", patient)
	}
	return []byte(strings.Replace(string(text), patient, fmt.Sprintf("tries=%d", tries), 1))
}

func TestGolden(t *testing.T) {
	const source = "http://10.77.0.1:8080"
	cloud, err := script.UserData(testSeed(source), script.CloudConfig)
	if err != nil {
		t.Fatal(err)
	}
	if len(cloud) > 5<<10 {
		t.Errorf("typical user-data has %d bytes", len(cloud))
	}
	golden(t, "user-data.yaml", cloud)
	plain, err := script.UserData(testSeed(source), script.Script)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "user-data.sh", plain)
	shellcheck(t, plain)
	static, err := script.StaticUserData(testGeneration(), "master", script.Script)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "static.sh", static)
	shellcheck(t, static)
	install, err := script.Install(testGeneration())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "install.sh", install)
	shellcheck(t, install)
}

func TestCloudConfigRunsTheScript(t *testing.T) {
	text, err := script.UserData(testSeed("http://a"), script.CloudConfig)
	if err != nil {
		t.Fatal(err)
	}
	want, err := script.UserData(testSeed("http://a"), script.Script)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Runcmd []string `yaml:"runcmd"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "#cloud-config\n") || len(c.Runcmd) != 1 || c.Runcmd[0] != string(want) {
		t.Errorf("got %q", c.Runcmd)
	}
}

var (
	shells = []string{"dash", "busybox sh", "bash --posix", "bash"}
	// downloaders are ways to get the agent, each with what checks its digest.
	downloaders = []string{"curl sha256sum", "wget sha256sum", "busybox:wget busybox:sha256sum", "python3"}
)

func TestHostJoins(t *testing.T) {
	for _, shell := range shells {
		for _, tools := range downloaders {
			t.Run(shell+" with "+tools, func(t *testing.T) {
				t.Parallel()
				s := testSeed(server(t, nil))
				h := newHost(t, strings.Fields(tools)...)
				out, code := h.script(shell, impatient(t, s, 2))
				if code != 0 {
					t.Fatalf("exit code %d:\n%s", code, out)
				}
				args := strings.Fields(h.recorded("arguments"))
				if len(args) != 2 || args[0] != "launch" || !strings.HasPrefix(args[1], h.work) {
					t.Errorf("called with %q", args)
				}
				want, err := s.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if got := h.recorded("seed"); got != string(want) {
					t.Errorf("seed\n%s\nwant\n%s", got, want)
				}
				if info, err := os.Stat(filepath.Join(h.record, "seed")); err != nil || info.Mode() != 0o600 {
					t.Errorf("seed: %v, %v", info, err)
				}
				if strings.Contains(out, token) {
					t.Error("the output has the token")
				}
				h.clean()
			})
		}
	}
}

func TestWrongBytesAreNotRun(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter, n int64) bool{
		"one bit flipped": func(w http.ResponseWriter, _ int64) bool {
			_, _ = w.Write([]byte(strings.Replace(agent, "says", "sayS", 1)))
			return true
		},
		"truncated": func(w http.ResponseWriter, _ int64) bool {
			_, _ = w.Write([]byte(agent[:len(agent)-1]))
			return true
		},
		"longer": func(w http.ResponseWriter, _ int64) bool {
			_, _ = w.Write([]byte(agent + "\n"))
			return true
		},
		"endless": func(w http.ResponseWriter, _ int64) bool {
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return true
				}
			}
		},
		"empty":     func(http.ResponseWriter, int64) bool { return true },
		"not found": func(w http.ResponseWriter, _ int64) bool { w.WriteHeader(http.StatusNotFound); return true },
	}
	for name, answer := range answers {
		for _, tools := range downloaders {
			t.Run(name+" with "+tools, func(t *testing.T) {
				t.Parallel()
				bad, good := server(t, answer), server(t, nil)
				h := newHost(t, strings.Fields(tools)...)
				out, code := h.script("dash", impatient(t, testSeed(bad), 3))
				if code != 1 || h.recorded("arguments") != "" {
					t.Fatalf("exit code %d, agent called with %q:\n%s", code, h.recorded("arguments"), out)
				}
				if !strings.Contains(out, "gave up after 3 tries; see that this host reaches one of: "+bad) {
					t.Errorf("it does not say what to do:\n%s", out)
				}
				h.clean()

				if out, code = h.script("dash", impatient(t, testSeed(bad, good), 2)); code != 0 || h.recorded("arguments") == "" {
					t.Errorf("the second source was not used, exit code %d:\n%s", code, out)
				}
				h.clean()
			})
		}
	}
}

func TestHostWaitsForTheCoordinator(t *testing.T) {
	const failures = 20
	url := server(t, func(w http.ResponseWriter, n int64) bool {
		if n <= failures {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n <= failures
	})
	h := newHost(t, "curl", "sha256sum")
	out, code := h.script("dash", userData(t, url))
	if code != 0 || h.recorded("arguments") == "" {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	if !strings.Contains(out, "muster: try 20 failed, the next one is in ") {
		t.Errorf("the waiting is not visible:\n%s", out)
	}
	waits := strings.Fields(h.recorded("sleeps"))
	if len(waits) != failures {
		t.Fatalf("waits %v", waits)
	}
	for i, w := range waits {
		var n int
		_, err := fmt.Sscan(w, &n)
		if limit := min(2<<i, 60); err != nil || n < limit/2 && i < 5 || n > 60 || i > 5 && n < 30 {
			t.Errorf("wait %d is %s s", i, w)
		}
	}
}

func TestFailuresOfTheHost(t *testing.T) {
	tests := map[string]struct {
		tools   string
		prepare func(h *host)
		want    string
	}{
		"no downloader":        {"sha256sum", func(*host) {}, "install curl, wget or python3"},
		"no digest":            {"curl", func(*host) {}, "install sha256sum or python3"},
		"unknown architecture": {"curl sha256sum", func(h *host) { h.fake("uname", "echo riscv64") }, "there is no bootstrap agent for riscv64; use an amd64 or arm64 host"},
		"no room":              {"curl sha256sum", func(h *host) { h.fake("dd", "exit 1") }, "no directory has room"},
		"agent fails":          {"curl sha256sum", func(h *host) { h.env = append(h.env, "AGENT_EXIT=7") }, "the bootstrap agent did not start"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, strings.Fields(test.tools)...)
			test.prepare(h)
			out, code := h.script("dash", userData(t, server(t, nil)))
			if code != 1 || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			h.clean()
		})
	}
}

func TestTruncatedScriptDoesNothing(t *testing.T) {
	h := newHost(t, "curl", "sha256sum")
	lines := strings.SplitAfter(string(userData(t, server(t, nil))), "\n")
	for n := 1; n < len(lines)-1; n++ {
		if out, _ := h.script("dash", []byte(strings.Join(lines[:n], ""))); h.recorded("arguments") != "" {
			t.Fatalf("%d lines of %d run the agent:\n%s", n, len(lines), out)
		}
	}
	h.clean()
}

func TestDirectoryThatRunsNoPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	for _, tool := range []string{"unshare", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	h := newHost(t, "curl", "sha256sum")
	path := filepath.Join(h.record, "script.sh")
	if err := os.WriteFile(path, userData(t, server(t, nil)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, code := h.run("", "unshare", "-m", "/bin/sh", "-c",
		"/bin/mount -t tmpfs -o noexec tmpfs "+h.work+" && /bin/sh "+path)
	if strings.Contains(out, "unshare:") || strings.Contains(out, "mount:") {
		t.Skip(out)
	}
	if program := h.recorded("program"); code != 0 || program == "" || strings.HasPrefix(program, h.work) {
		t.Errorf("exit code %d, ran %q:\n%s", code, program, out)
	}
}

func TestUserDataThatIsTooLong(t *testing.T) {
	s := testSeed("http://a")
	for i := range 31 {
		s.Sources = append(s.Sources, fmt.Sprintf("http://mirror/%03d/%s", i, strings.Repeat("x", 180)))
	}
	if _, err := script.UserData(s, script.Script); err == nil || !strings.Contains(err.Error(), "clouds take 16384") {
		t.Errorf("got %v", err)
	}
	if _, err := script.UserData(&seed.Seed{}, script.Script); err == nil {
		t.Error("an invalid seed is accepted")
	}
	if _, err := script.UserData(testSeed("http://a"), "word"); err == nil || !strings.Contains(err.Error(), "cloud-config script") {
		t.Errorf("unknown format: %v", err)
	}
}

func TestStaticInstallation(t *testing.T) {
	g := testGeneration()
	text, err := script.StaticUserData(g, "master", script.Script)
	if err != nil {
		t.Fatal(err)
	}
	url := server(t, nil)
	text = []byte(strings.Replace(string(text), "http://10.77.0.1:8080", url, 1))
	h := newHost(t, "curl", "sha256sum")
	out, code := h.script("dash", text)
	want := fmt.Sprintf("install --role master --manifest %s --size %d --source %s --source http://coordinator.example.com:8080\n",
		g.Roles[0].Manifest.Digest, g.Roles[0].Manifest.Size, url)
	if got := h.recorded("arguments"); code != 0 || got != want {
		t.Errorf("exit code %d, called with %q, want %q\n%s", code, got, want, out)
	}
	h.clean()
	if _, err := script.StaticUserData(g, "nobody", script.Script); err == nil {
		t.Error("an unknown role is accepted")
	}
}
