package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/fault"
	"muster/internal/manifest"
)

// genconfSite is a directory with a bundle, a cluster config and bootstrap agents that are nothing but headers.
func genconfSite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "demo"), os.DirFS("../../internal/artifacts/testdata/demo")); err != nil {
		t.Fatal(err)
	}
	writeAgent(t, dir, "amd64", elf.EM_X86_64)
	writeAgent(t, dir, "arm64", elf.EM_AARCH64)
	return dir
}

func writeAgent(t *testing.T, dir, arch string, machine elf.Machine) {
	t.Helper()
	var b bytes.Buffer
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Ehsize: 64}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	if err := binary.Write(&b, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap-agent-linux-"+arch), b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
}

// runGenconf runs the command in dir.
func runGenconf(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	c := genconfCommand()
	c.SilenceUsage, c.SilenceErrors = true, true
	var out, errs bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(append([]string{filepath.Join(dir, "demo/cluster.yaml"), "--agents", dir, "--out", filepath.Join(dir, "genconf")}, args...))
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestGenconfSaysWhatItMade(t *testing.T) {
	dir := genconfSite(t)
	stdout, _, err := runGenconf(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := artifacts.Verify(t.Context(), filepath.Join(dir, "genconf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"test, with demo 1.2.3", string(g.ConfigID), "1 master, any number of worker", "coordinator serve"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestGenconfInvalid(t *testing.T) {
	tests := map[string]struct {
		file, old, replacement string
		args                   []string
		want                   string
	}{
		"two masters": {"cluster.yaml", "{count: 1}", "{count: 2}", nil, "cluster.yaml:6:19: "},
		"a wrong template": {"templates/app.conf.tmpl", ".Param.greeting", ".Param.greting", nil,
			"templates/app.conf.tmpl:2:"},
		"a wrong template, only checked": {"templates/app.conf.tmpl", ".Param.greeting", ".Param.greting", []string{"--check"},
			"templates/app.conf.tmpl:2:"},
		"an unknown argument of a probe": {"bundle.yaml", "with: {port:", "with: {prot:", nil, "bundle.yaml:"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := genconfSite(t)
			path := filepath.Join(dir, "demo", test.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), test.old, test.replacement, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, err := runGenconf(t, dir, test.args...)
			var exit *exitError
			if !errors.As(err, &exit) || exit.code != exitInvalid {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(stderr, test.want) || !strings.Contains(stderr, "remedy: ") || stdout != "" {
				t.Errorf("stdout %q, stderr\n%s", stdout, stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, "genconf")); !os.IsNotExist(err) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}

func TestGenconfChecksOnly(t *testing.T) {
	dir := genconfSite(t)
	stdout, _, err := runGenconf(t, dir, "--check")
	if err != nil || !strings.Contains(stdout, "are valid") {
		t.Errorf("%q, %v", stdout, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "genconf")); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}

func TestGenconfWantsTheRightAgents(t *testing.T) {
	for name, spoil := range map[string]func(dir string) string{
		"missing": func(dir string) string {
			if err := os.Remove(filepath.Join(dir, "bootstrap-agent-linux-arm64")); err != nil {
				t.Fatal(err)
			}
			return "bootstrap-agent-linux-arm64 does not exist"
		},
		"of another machine": func(dir string) string {
			writeAgent(t, dir, "arm64", elf.EM_X86_64)
			return "is for EM_X86_64, not for linux/arm64"
		},
		"not a program": func(dir string) string {
			if err := os.WriteFile(filepath.Join(dir, "bootstrap-agent-linux-amd64"), []byte("<html>not found</html>"), 0o755); err != nil {
				t.Fatal(err)
			}
			return "is not a program"
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := genconfSite(t)
			want := spoil(dir)
			_, _, err := runGenconf(t, dir)
			var exit *exitError
			if !errors.As(err, &exit) || exit.code != exitInvalid || !strings.Contains(err.Error(), want) || !strings.Contains(fault.Remedy(err), "scripts/build") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestGenconfTellsProgramsWhatIsWrong(t *testing.T) {
	dir := genconfSite(t)
	stdout, stderr, err := runGenconf(t, dir, "--check", "-o", "json")
	if err != nil || strings.Join(strings.Fields(stdout), "") != `{"problems":[],"valid":true}` || stderr != "" {
		t.Errorf("said %q, %q, %v of what is valid", stdout, stderr, err)
	}
	file := filepath.Join(dir, "demo/cluster.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "prot: 1\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err = runGenconf(t, dir, "-o", "json")
	var said struct {
		Valid    bool
		Problems []struct {
			File, Key, Message, Remedy, Source string
			Line, Column                       int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != exitInvalid || stderr != "" {
		t.Errorf("ended with %v, %q", err, stderr)
	}
	if said.Valid || len(said.Problems) != 1 || said.Problems[0].File != file || said.Problems[0].Key != "prot" || said.Problems[0].Line != 9 ||
		said.Problems[0].Column != 1 || said.Problems[0].Message != "unknown key" || said.Problems[0].Remedy == "" || said.Problems[0].Source != "prot: 1" {
		t.Errorf("said %s", stdout)
	}
}

func TestGenconfThatIsOvertakenByAnotherHasDoneItsWork(t *testing.T) {
	var out bytes.Buffer
	g := &manifest.Generation{Cluster: "c", ConfigID: "id"}
	if err := summarise(&out, g, filepath.Join(t.TempDir(), "replaced"), 0); err != nil || !strings.Contains(out.String(), "blobs       not counted: another genconf") {
		t.Errorf("said %q, %v", out.String(), err)
	}
}
