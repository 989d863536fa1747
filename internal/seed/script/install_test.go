package script_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/manifest"
	"muster/internal/seed/script"
)

// installScript is install.sh with a default source of the test's.
func installScript(t *testing.T, source string) []byte {
	t.Helper()
	text, err := script.Install(testGeneration())
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.Replace(string(text), "http://10.77.0.1:8080 http://coordinator.example.com:8080", source, 1))
}

func installArguments(role int, rest string) string {
	e := testGeneration().Roles[role]
	return fmt.Sprintf("install --role %s --manifest %s --size %d %s\n", e.Name, e.Manifest.Digest, e.Manifest.Size, rest)
}

func TestInstallCallsTheAgent(t *testing.T) {
	url := server(t, nil)
	tests := map[string]struct {
		args []string
		want string
	}{
		"a role":            {[]string{"master"}, installArguments(0, "--source "+url)},
		"another role":      {[]string{"public-agent"}, installArguments(1, "--source "+url)},
		"preflight only":    {[]string{"master", "--preflight-only"}, installArguments(0, "--preflight-only --source "+url)},
		"without preflight": {[]string{"--skip-preflight", "master"}, installArguments(0, "--skip-preflight --source "+url)},
		"from two sources":  {[]string{"master", "--source", url + "/", "--source=http://other"}, installArguments(0, "--source "+url+" --source http://other")},
		"uninstall":         {[]string{"--uninstall"}, "uninstall --cluster demo\n"},
		"uninstall a role":  {[]string{"master", "--uninstall"}, "uninstall --cluster demo\n"},
		"purge":             {[]string{"--uninstall", "--purge"}, "uninstall --cluster demo --purge\n"},
	}
	for name, test := range tests {
		for _, shell := range shells {
			t.Run(name+" with "+shell, func(t *testing.T) {
				t.Parallel()
				h := newHost(t, "curl", "sha256sum")
				out, code := h.script(shell, installScript(t, url), test.args...)
				if got := h.recorded("arguments"); code != 0 || got != test.want {
					t.Errorf("exit code %d, called with %q, want %q\n%s", code, got, test.want, out)
				}
				h.clean()
			})
		}
	}
}

func TestInstallWithEachDownloader(t *testing.T) {
	for _, tools := range downloaders {
		t.Run(tools, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, strings.Fields(tools)...)
			out, code := h.script("dash", installScript(t, server(t, nil)), "master")
			if code != 0 || h.recorded("arguments") == "" {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			h.clean()
		})
	}
}

func TestInstallRefusesWrongUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no role":        {nil, "say the role of this host, one of: master public-agent"},
		"unknown role":   {[]string{"slave"}, "unknown role slave; the roles are: master public-agent"},
		"role with glob": {[]string{"*"}, "unknown role *; the roles are"},
		"two roles":      {[]string{"master", "public-agent"}, "one role at a time"},
		"unknown option": {[]string{"master", "--force"}, "unknown option --force"},
		"exclusive":      {[]string{"master", "--preflight-only", "--skip-preflight"}, "exclude each other"},
		"purge alone":    {[]string{"master", "--purge"}, "--purge goes with --uninstall"},
		"no source":      {[]string{"master", "--source"}, "--source needs a URL"},
		"wrong source":   {[]string{"master", "--source", "ftp://x"}, "neither a URL nor a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "curl", "sha256sum")
			out, code := h.script("dash", installScript(t, server(t, nil)), test.args...)
			if code != 2 || !strings.Contains(out, test.want) || h.recorded("arguments") != "" {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			h.clean()
		})
	}
}

func TestInstallHelps(t *testing.T) {
	h := newHost(t)
	out, code := h.script("dash", installScript(t, "http://x"), "--help")
	if code != 0 || !strings.Contains(out, "install.sh ROLE [--preflight-only | --skip-preflight]") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestInstallNeedsRoot(t *testing.T) {
	h := newHost(t, "curl", "sha256sum")
	h.fake("id", "echo 1000")
	out, code := h.script("dash", installScript(t, server(t, nil)), "master")
	if code != 1 || !strings.Contains(out, "must run as root; try: sudo sh install.sh master") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestInstallPassesTheAgentsExitCode(t *testing.T) {
	h := newHost(t, "curl", "sha256sum")
	h.env = []string{"AGENT_EXIT=7"}
	if out, code := h.script("dash", installScript(t, server(t, nil)), "master"); code != 7 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	h.clean()
}

func TestInstallPipedIntoAShell(t *testing.T) {
	url := server(t, nil)
	h := newHost(t, "curl", "sha256sum")
	h.env = []string{"MUSTER_SOURCE=" + url}
	out, code := h.run(string(installScript(t, "http://unused")), "dash", "-s", "--", "master")
	if got := h.recorded("arguments"); code != 0 || got != installArguments(0, "--source "+url) {
		t.Errorf("exit code %d, called with %q\n%s", code, got, out)
	}
	h.clean()
}

func TestInstallFromTheDirectoryThatItLiesIn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("install.sh", string(installScript(t, "http://unused")))
	blob := manifest.BlobPath(blobOf(agent).Digest)
	write(blob, agent)
	// No downloader is there, but the host has python3 or so for other reasons; only cp is used.
	h := newHost(t, "curl", "sha256sum")
	out, code := h.run("", "dash", filepath.Join(dir, "install.sh"), "master")
	if got := h.recorded("arguments"); code != 0 || got != installArguments(0, "--source file://"+dir) {
		t.Errorf("exit code %d, called with %q\n%s", code, got, out)
	}
	h.clean()

	write(blob, agent+"# changed\n")
	h = newHost(t, "curl", "sha256sum")
	out, code = h.run("", "dash", filepath.Join(dir, "install.sh"), "master")
	if code != 1 || h.recorded("arguments") != "" || !strings.Contains(out, "with another SHA-256; it is not run") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	h.clean()
}
