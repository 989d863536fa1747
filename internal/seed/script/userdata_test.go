package script_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	const patient = "tries=3800"
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
				s.Agents = nil
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
		if limit := min(2<<i, 30); err != nil || n < limit/2 || n > limit {
			t.Errorf("wait %d is %s s", i, w)
		}
	}
}

// The clock is the sum of the pauses, so that hours pass in a moment.
func TestHostWaitsForACoordinatorThatComesAnHourLater(t *testing.T) {
	for _, tools := range []string{"curl sha256sum", "busybox:wget busybox:sha256sum"} { // python3 starts slowly
		t.Run(tools, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, strings.Fields(tools)...)
			waited := func() (sum int) {
				for _, pause := range strings.Fields(h.recorded("sleeps")) {
					n, err := strconv.Atoi(pause)
					if err != nil || n < 1 || n > 30 {
						t.Errorf("a pause of %q s", pause)
					}
					sum += n
				}
				return sum
			}
			url := server(t, func(w http.ResponseWriter, _ int64) bool {
				early := waited() < 3600
				if early {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return early
			})
			text, err := script.UserData(testSeed(url), script.Script)
			if err != nil {
				t.Fatal(err)
			}
			out, code := h.script("dash", text)
			if sum := waited(); code != 0 || h.recorded("arguments") == "" || sum < 3600 || sum > 3630 {
				t.Errorf("exit code %d after %d s:\n%s", code, sum, out)
			}
			pauses := strings.Fields(h.recorded("sleeps"))
			distinct := make(map[string]bool)
			for _, pause := range pauses {
				distinct[pause] = true
			}
			if len(distinct) < 15 {
				t.Errorf("only %d distinct pauses of %d: that is no jitter", len(distinct), len(pauses))
			}
			h.clean()
		})
	}
}

// place makes the script look for what is installed in the test's directory.
func (h *host) place(text []byte) []byte {
	for _, dir := range []string{"/opt/", "/var/lib/cloud/"} {
		if !bytes.Contains(text, []byte(dir)) {
			h.t.Fatalf("no %s in the script", dir)
		}
		text = bytes.ReplaceAll(text, []byte(dir), []byte(h.record+dir))
	}
	return text
}

func TestRunAgainTheScriptLeavesAnInstallationAlone(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		runs  bool
	}{
		"nothing is there":         {nil, true},
		"installed, same instance": {map[string]string{"opt/demo/instance": "i-1\n", "opt/demo/current/x": "", "var/lib/cloud/data/instance-id": "i-1\n"}, false},
		"made from an image":       {map[string]string{"opt/demo/instance": "i-1\n", "opt/demo/current/x": "", "var/lib/cloud/data/instance-id": "i-2\n"}, true},
		"another cluster":          {map[string]string{"opt/other/instance": "i-1\n", "var/lib/cloud/data/instance-id": "i-1\n"}, true},
		"no word of the instance":  {map[string]string{"opt/demo/current/x": ""}, true},
		// resident: true keeps the bootstrap agent; its unit is enabled, so it goes on at each boot by itself.
		"installed, and the bootstrap agent stays": {map[string]string{"opt/demo/instance": "i-1\n", "opt/demo/current/x": "", "var/lib/cloud/data/instance-id": "i-1\n", "var/lib/bootstrap-agent/seed": "{}"}, false},
		"in the middle of joining":                 {map[string]string{"opt/demo/instance": "i-1\n", "var/lib/cloud/data/instance-id": "i-1\n", "var/lib/bootstrap-agent/seed": "{}"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "curl", "sha256sum", "cmp")
			for path, text := range test.files {
				path = filepath.Join(h.record, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			out, code := h.script("dash", h.place(userData(t, server(t, nil))))
			if ran := h.recorded("arguments") != ""; code != 0 || ran != test.runs {
				t.Errorf("exit code %d, the agent ran: %v\n%s", code, ran, out)
			}
			if said := strings.Contains(out, "muster: demo is installed"); said == test.runs {
				t.Errorf("it says %q", out)
			}
			h.clean()
		})
	}
}

// Whatever an operator may write into a seed reaches the agent as it is, and no shell.
func TestHostileValuesReachTheAgentUnread(t *testing.T) {
	values := []string{"$(touch HIT)", "`touch HIT`", "'; touch HIT; '", "SEED", "\\", "%s%n", "$HOME", "--x", "*", " ", `"`, "--=muster="}
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "curl", "sha256sum")
			s := testSeed(server(t, nil))
			s.Labels = make(map[string]string)
			for i, value := range values {
				s.Labels["k"+strconv.Itoa(i)], s.Labels[value+"k"] = value, "v"
			}
			text, err := script.UserData(s, script.Script)
			if err != nil {
				t.Fatal(err)
			}
			hit := filepath.Join(h.record, "HIT")
			out, code := h.script(shell, bytes.ReplaceAll(text, []byte("HIT"), []byte(hit)))
			var got seed.Seed
			if err := json.Unmarshal([]byte(h.recorded("seed")), &got); err != nil || code != 0 {
				t.Fatalf("exit code %d, %v\n%s", code, err, out)
			}
			for i, value := range values {
				if want := strings.ReplaceAll(value, "HIT", hit); got.Labels["k"+strconv.Itoa(i)] != want {
					t.Errorf("%q is %q", want, got.Labels["k"+strconv.Itoa(i)])
				}
			}
			if _, err := os.Stat(hit); err == nil {
				t.Errorf("a value was run:\n%s", out)
			}
			h.clean()
		})
	}
}

func TestHostileValuesAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(s *seed.Seed){
		"cluster":            func(s *seed.Seed) { s.Cluster = "demo;reboot" },
		"cluster above":      func(s *seed.Seed) { s.Cluster = "../demo" },
		"source":             func(s *seed.Seed) { s.Sources = []string{"http://a/$(reboot)"} },
		"source with quotes": func(s *seed.Seed) { s.Sources = []string{"http://a/'"} },
		"source of a file":   func(s *seed.Seed) { s.Sources = []string{"file:///etc/shadow"} },
		"coordinator":        func(s *seed.Seed) { s.Coordinators = []string{"a:1\nSEED"} },
		"label":              func(s *seed.Seed) { s.Labels = map[string]string{"a": "x\nSEED\nreboot"} },
		"token":              func(s *seed.Seed) { s.Token += "\n" },
		"certificate":        func(s *seed.Seed) { s.CA += "\nSEED\n" },
		"digest":             func(s *seed.Seed) { s.Agents["amd64"] = seed.Agent{Digest: "'; reboot '", Size: 1} },
		"architecture":       func(s *seed.Seed) { s.Agents["x86"] = s.Agents["amd64"] },
		"no agent":           func(s *seed.Seed) { s.Agents = nil },
	} {
		for _, format := range script.Formats {
			s := testSeed("http://a")
			spoil(s)
			if text, err := script.UserData(s, format); err == nil || strings.Contains(err.Error(), token) {
				t.Errorf("%s as %s: error %v, user-data\n%s", name, format, err, text)
			}
		}
	}
}

func TestAPolicyInPlaceOfATokenIsNoSecretInAnyFormat(t *testing.T) {
	for _, format := range script.Formats {
		s := testSeed("http://a")
		s.Token, s.AWSPolicy = "", "workers"
		text, err := script.UserData(s, format)
		if err != nil {
			t.Fatal(err)
		}
		code := string(text)
		if read := inside[format]; read != nil {
			code = read(t, text)
		}
		if !strings.Contains(code, "Holds no secret.") || !strings.Contains(code, `"aws_policy":"workers"`) || strings.Contains(code, "mt1.") {
			t.Errorf("%s:\n%s", format, code)
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

func TestUserDataOfWhatIsNone(t *testing.T) {
	if _, err := script.UserData(&seed.Seed{}, script.Script); err == nil {
		t.Error("an invalid seed is accepted")
	}
	if _, err := script.UserData(testSeed("http://a"), "word"); err == nil || !strings.Contains(err.Error(), "cloud-config script mime ignition") {
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
