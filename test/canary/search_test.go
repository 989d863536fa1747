package canary

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// formsOf gives a value in every way of writing that somebody might find it by.
func formsOf(value string) []string {
	digits := hex.EncodeToString([]byte(value))
	quoted := strconv.Quote(value)
	forms := []string{value, digits, strings.ToUpper(digits), quoted[1 : len(quoted)-1], url.QueryEscape(value), url.PathEscape(value)}
	for skip := range 3 {
		padded := append(make([]byte, skip), value...)
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(padded)
			forms = append(forms, text[(skip*8+5)/6:len(padded)*8/6])
		}
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
			forms = append(forms, line)
		}
	}
	return forms
}

// look takes down what can be seen of every process below the test, and of what the agent keeps, while they run.
func (s *site) look(host *process) {
	s.Helper()
	children := map[string][]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if _, fields, ok := strings.Cut(string(stat), ") "); err == nil && ok {
			if f := strings.Fields(fields); len(f) > 1 {
				children[f[1]] = append(children[f[1]], e.Name())
			}
		}
	}
	var note func(pid string)
	note = func(pid string) {
		for _, what := range []string{"cmdline", "environ"} {
			if text, err := os.ReadFile("/proc/" + pid + "/" + what); err == nil {
				seen["/proc "+what+" "+pid] += string(text) + "\n"
			}
		}
		for _, child := range children[pid] {
			note(child)
		}
	}
	note(strconv.Itoa(host.cmd.Process.Pid))
	note(strconv.Itoa(s.coordinator.cmd.Process.Pid))
	s.wantPrivate(host)
}

// seen is what look has taken down.
var seen = map[string]string{}

// wantPrivate holds what passes through the agent's directory to its owner alone.
func (s *site) wantPrivate(host *process) {
	s.Helper()
	state := filepath.Join(host.root, "var/lib/bootstrap-agent")
	if info, err := os.Stat(state); err == nil && info.Mode().Perm()&0o077 != 0 {
		s.Errorf("%s has mode %v", state, info.Mode())
	}
	_ = filepath.WalkDir(state, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it goes while it is looked at
		}
		for _, prefix := range passing {
			if info, err := e.Info(); err == nil && e.Type().IsRegular() && strings.HasPrefix(path, filepath.Join(host.root, prefix)) && info.Mode().Perm()&0o077 != 0 {
				s.Errorf("%s has mode %v", path, info.Mode())
			}
		}
		return nil
	})
}

// belongs is where a secret is to be on a host that is done.
var belongs = regexp.MustCompile(`^host/opt/demo/generations/[0-9a-f-]+/etc/(every|` + strings.Join(secretNames, "|") + `)$`)

// given are the operator's own files.
var given = regexp.MustCompile(`^(sources/binary|text\.secret|(cluster|new|converted|wrong-[0-9]+)\.yaml|legacy\.json)$`)

// wrong are cluster configs with a mistake beside, in or around the writeOnly parameter, PIN.
var wrong = []string{
	"pin: PIN\n  port: x", "pin: [PIN]", "pni: PIN", "pin: PIN\n  pin: PIN", "pin: \"PIN", "pin: PIN: x", "pin: !PIN x", "pin: *PIN", "pin: &PIN x", "nested: {pins: [[PIN]]}",
	"{pin: PIN, port: x}", "nested: {pins: [PIN], more: x}",
	"pin: " + strings.Repeat("PIN", 5), "pin: " + strings.Repeat("PIN", 20),
}

// everything is all that there is to search, by a name for people.
func (s *site) everything(host *process) map[string]string {
	s.Helper()
	all := map[string]string{}
	for where, text := range seen {
		all[where] = text
	}
	s.files(all)
	for name, args := range map[string][]string{
		"status": {"status"}, "status as JSON": {"status", "-o", "json"}, "status as YAML": {"status", "-o", "yaml", "--all"},
		"status of the host": {"status", s.address}, "status of the host as JSON": {"status", s.address, "-o", "json"},
		"events": {"events", "-n", "1000"}, "events as JSON": {"events", "-o", "json"},
		"secret list": {"secret", "list"}, "secret list as JSON": {"secret", "list", "-o", "json"}, "token list": {"token", "list", "-o", "json"},
		"user-data": {"user-data", "--role", "agent"}, "genconf": {"genconf", "--agents", "agents", "--out", "again"},
		"secret rekey": {"secret", "rekey"}, "secret generate": {"secret", "generate", "hex"},
	} {
		all["output of "+name] = s.run("", args...)
	}
	s.configTools(all)
	s.answers(all)
	return all
}

// configTools are the commands around cluster.yaml, which a secret parameter stands in.
func (s *site) configTools(all map[string]string) {
	s.Helper()
	text := s.read("cluster.yaml")
	s.write("new.yaml", strings.ReplaceAll(text, s.pin, s.pin+"2"), 0o600)
	s.write("legacy.json", fmt.Sprintf(`{"cluster_name": "demo", "pin": %q, "nested": %q, "unknown_password": %q, "port": "82"}`, s.pin, `{"pins": ["`+s.pin+`"]}`, s.pin), 0o600)
	for _, args := range [][]string{
		{"config", "explain"}, {"config", "explain", "pin"}, {"config", "explain", "nested"}, {"config", "explain", "secrets"},
		{"config", "diff", "cluster.yaml", "new.yaml"}, {"config", "diff", "genconf", "new.yaml"}, {"config", "diff", "genconf", "again"},
	} {
		for _, format := range []string{"table", "json", "yaml"} {
			all[fmt.Sprintf("output of %q", append(args, format))] = s.run("", append(args, "-o", format)...)
		}
	}
	for _, args := range [][]string{
		{"genconf", "--check"}, {"config", "convert", "legacy.json", "--bundle", "b"}, {"config", "convert", "legacy.json", "--bundle", "b", "-o", "converted.yaml"},
		{"bundle", "lint", "b"}, {"schema", "b"}, {"init", "b", "--out", "initial.yaml", "--address", "10.0.0.1"}, {"verify", "genconf"}, {"user-data", "--role", "master"},
	} {
		all[fmt.Sprintf("output of %q", args)] = s.run("", args...)
	}
	parameters := strings.Index(text, "parameters:\n")
	for i, spoiled := range wrong {
		if !strings.HasPrefix(spoiled, "{") {
			spoiled = "\n  " + spoiled
		}
		name := fmt.Sprintf("wrong-%d.yaml", i)
		s.write(name, text[:parameters]+"parameters: "+strings.ReplaceAll(spoiled, "PIN", s.pin)+"\n", 0o600)
		for _, args := range [][]string{{"genconf", name, "--check"}, {"genconf", name, "--agents", "agents", "--out", "never"}, {"config", "diff", "cluster.yaml", name}} {
			all[fmt.Sprintf("errors of %q", args)] = s.refused(args...)
		}
	}
}

// files are all that the coordinator and the agent have written, packed ones unpacked.
func (s *site) files(all map[string]string) {
	s.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		s.Fatal(err)
	}
	defer d.Close()
	if err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err != nil || belongs.MatchString(name) || given.MatchString(name) {
			return err
		}
		text, err := os.ReadFile(path)
		all["file "+name] = string(text)
		if plain, err := d.DecodeAll(text, nil); err == nil {
			all["unpacked "+name] = string(plain)
		}
		return err
	}); err != nil {
		s.Fatal(err)
	}
	if _, err := os.Stat(s.path("host/var/lib/bootstrap-agent")); err == nil {
		s.Error("the agent has left its directory behind")
	}
}

// answers are what anybody is told over HTTP.
func (s *site) answers(all map[string]string) {
	s.Helper()
	config := s.read("cluster.yaml")
	port := regexp.MustCompile(`http_port: (\d+)`).FindStringSubmatch(config)[1]
	var paths []string
	if err := filepath.WalkDir(s.path("state"), func(path string, e fs.DirEntry, err error) error {
		// As if the state itself were served, and the generation in it.
		paths = append(paths, strings.TrimPrefix(path, s.dir), strings.TrimPrefix(path, s.path("state")), strings.TrimPrefix(path, s.path("state/artifacts")))
		return err
	}); err != nil {
		s.Fatal(err)
	}
	paths = append(paths, "/", "/install.sh", "/generation.json", "/config.json", "/roles/master/manifest.json", "/secrets", "/secrets.key", "/state/secrets.key",
		"/../secrets.key", "/store.db", "/metrics", "/debug/pprof/", "/cluster.yaml", "/../cluster.yaml", "/%2e%2e/cluster.yaml", "/blobs/../../../cluster.yaml")
	blobs, err := filepath.Glob(s.path("state/artifacts/blobs/*/*"))
	if err != nil || len(blobs) == 0 {
		s.Fatalf("no blobs: %v", err)
	}
	for _, blob := range blobs {
		paths = append(paths, "/blobs/"+filepath.Base(filepath.Dir(blob))+"/"+filepath.Base(blob))
	}
	for _, path := range paths {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%s%s", port, path))
		if err != nil {
			s.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			s.Fatal(err)
		}
		all["answer "+path] = string(text)
	}
}

func (s *site) read(name string) string {
	s.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}
