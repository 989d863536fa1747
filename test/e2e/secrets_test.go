//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"muster/internal/seed"
)

// secretiveBundle is the smallest with a secret on a host.
var secretiveBundle = map[string]string{
	"bundle.yaml": `bundle: 1
name: app
version: "1"
roles: {worker: {}}
secrets:
  word: {roles: [worker], given: true, summary: A word}
units:
  app: {roles: [worker], template: unit}
files:
  etc/word: {roles: [worker], template: word}
  etc/public: {template: public}
`,
	"unit": "[Service]\nExecStart=/bin/sleep infinity\n", "word": "{{ .Secret.word | raw }}", "public": "{{ .Host.Name }}\n",
}

const secretiveCluster = `cluster: demo
bundle: b
coordinator: {addresses: [10.77.0.1]}
secrets:
  word: {set: true}
ssh: {user: admin}
`

// canary is one secret: what it looks like, and the only places where it may be.
type canary struct {
	name    string
	forms   []string
	belongs *regexp.Regexp
}

// newCanary takes texts and keys in PEM; of these the bytes count, however they are wrapped.
func newCanary(name, text, belongs string) canary {
	c := canary{name: name, belongs: regexp.MustCompile("^(" + belongs + ")$")}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "KEY") {
			c.forms = append(c.forms, string(block.Bytes))
		}
	}
	if len(c.forms) == 0 {
		c.forms = []string{strings.TrimSpace(text)}
	}
	for _, form := range c.forms {
		for skip := range 3 {
			encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, skip), form...))
			c.forms = append(c.forms, encoded[(skip*8+5)/6:(skip+len(form))*8/6])
		}
	}
	return c
}

// in finds a form in a text, also in one that is wrapped into lines.
func (c canary) in(text string) bool {
	joined := strings.ReplaceAll(strings.ReplaceAll(text, "\n", ""), `\n`, "")
	for _, form := range c.forms {
		if strings.Contains(text, form) || strings.Contains(joined, form) {
			return true
		}
	}
	return false
}

// processes looks at all that run on this machine, on hosts too, until stop: what their arguments and environments are.
type processes struct {
	mu   sync.Mutex
	seen map[string]bool
	stop chan struct{}
	done sync.WaitGroup
}

func watchProcesses() *processes {
	p := &processes{seen: make(map[string]bool), stop: make(chan struct{})}
	p.done.Go(func() {
		for {
			entries, _ := os.ReadDir("/proc")
			for _, e := range entries {
				if _, err := strconv.Atoi(e.Name()); err != nil || e.Name() == strconv.Itoa(os.Getpid()) {
					continue
				}
				for _, what := range []string{"cmdline", "environ"} {
					if text, err := os.ReadFile(filepath.Join("/proc", e.Name(), what)); err == nil {
						p.mu.Lock()
						p.seen[what+": "+string(text)] = true
						p.mu.Unlock()
					}
				}
			}
			select {
			case <-p.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return p
}

func (p *processes) end() map[string]bool {
	close(p.stop)
	p.done.Wait()
	return p.seen
}

// A secret of every kind is looked for wherever it could have got to, on every host and on the coordinator, while hosts are
// installed and afterwards: it is only where it belongs.
func TestSecretsOfEveryKindAreOnlyWhereTheyBelong(t *testing.T) {
	l := newLab(t)
	c := &coordinator{t: t, lab: l, dir: t.TempDir()}
	copyPrograms(t, c.dir)
	if err := os.Mkdir(filepath.Join(c.dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range secretiveBundle {
		writeFile(t, filepath.Join(c.dir, "b", name), text)
	}
	writeFile(t, filepath.Join(c.dir, "cluster.yaml"), secretiveCluster)
	c.must("genconf")
	watch := watchProcesses()
	c.start()
	word := "Canary/" + rand.Text()
	if err := os.WriteFile(c.path("word.secret"), []byte(word), 0o600); err != nil {
		t.Fatal(err)
	}
	c.must("operator", "create", "alice", "--level", "admin", "--out", "alice.pem")
	c.must("--coordinator", bridge+":8443", "--credential", "alice.pem", "status")

	l.up(1)
	l.bootWith(2, c.userData("worker"))
	c.push("worker", 1)
	canaries := []canary{
		newCanary("the secret", word, `coordinator/word\.secret|host[12]/opt/demo/generations/[^/]*/etc/word`),
		newCanary("the key of secrets", readFile(t, c.path("state/secrets.key")), `coordinator/state/secrets\.key`),
		newCanary("the operator's key", readFile(t, c.path("alice.pem")), `coordinator/alice\.pem`),
	}
	keys, _ := filepath.Glob(c.path("state/ca/*.key"))
	more, _ := filepath.Glob(c.path("state/ca/*/*.key"))
	if keys = append(keys, more...); len(keys) < 3 {
		t.Fatalf("the CA has the keys %v", keys)
	}
	for _, key := range keys {
		canaries = append(canaries, newCanary("the CA's "+filepath.Base(key), readFile(t, key), `coordinator/state/ca/.*\.key`))
	}
	// Without the secret the hosts wait, with all that they have on their disks.
	for host := 1; host <= 2; host++ {
		c.until(host, 2*time.Minute, "waits for the secret", func(h row) bool { return h.Phase == "ready" })
		canaries = append(canaries, l.credentials(host)...)
	}
	wantOnlyWhereTheyBelong(t, "while the hosts wait", canaries, c.everything(2))
	c.must("secret", "set", "word", "--from-file", "word.secret")
	c.wait(2)
	settle(t, l, 1, 2)
	l.mustSh(2, "cloud-init status --wait")

	// The keys of hosts are nowhere any more; of the tokens, cloud-init keeps the spent one of its user-data.
	for i := range canaries {
		if canaries[i].name == "a host's key" || canaries[i].name == "a host's token" {
			canaries[i].belongs = regexp.MustCompile(`^host2/var/lib/cloud/.*$`)
		}
	}
	all := c.everything(2)
	wantOnlyWhereTheyBelong(t, "afterwards", canaries, all)
	found := 0
	for where, text := range all {
		if canaries[0].in(text) && canaries[0].belongs.MatchString(where) {
			found++
		}
	}
	if found != 3 {
		t.Errorf("the secret is found in %d of the 3 places where it belongs: the search is no good", found)
	}
	for text := range watch.end() {
		for _, c := range canaries {
			if c.in(text) {
				t.Errorf("%s is in a process's %.200q", c.name, text)
			}
		}
	}
}

// row is one of the status.
type row = host

func (c *coordinator) path(name string) string { return filepath.Join(c.dir, name) }

// credentials are the token and the key of a host that is joining, which are for root alone.
func (l *lab) credentials(host int) []canary {
	l.t.Helper()
	state := filepath.Join(l.root(host), "var/lib/bootstrap-agent")
	s, err := seed.Parse([]byte(readFile(l.t, filepath.Join(state, "seed"))))
	if err != nil {
		l.t.Fatal(err)
	}
	var identity struct {
		Key []byte `json:"key"`
	}
	if err := json.Unmarshal([]byte(readFile(l.t, filepath.Join(state, "identity"))), &identity); err != nil {
		l.t.Fatal(err)
	}
	for _, path := range []string{"", "seed", "identity", "journal"} {
		if info, err := os.Stat(filepath.Join(state, path)); err != nil || info.Mode().Perm()&0o077 != 0 {
			l.t.Errorf("%s of host%d: %v, %v", path, host, info, err)
		}
	}
	mine := fmt.Sprintf(`host%d/var/lib/bootstrap-agent/`, host)
	return []canary{
		newCanary("a host's token", s.Token.Reveal(), mine+`seed|host2/var/lib/cloud/.*`),
		newCanary("a host's key", string(identity.Key), mine+`identity`),
	}
}

// everything is all that there is to search, by where it is: the coordinator's directory, what each host has written, its
// journal, what the commands say and what is answered over HTTP.
func (c *coordinator) everything(hosts int) map[string]string {
	c.t.Helper()
	all := make(map[string]string)
	c.files(all, "coordinator/", c.dir)
	for host := 1; host <= hosts; host++ {
		c.files(all, fmt.Sprintf("host%d/", host), c.lab.upper(host))
		all[fmt.Sprintf("journal of host%d", host)] = c.lab.mustSh(host, "journalctl --no-pager -o export")
		all[fmt.Sprintf("status of host%d", host)] = c.run("status", address(host), "-o", "json").all()
	}
	for _, args := range [][]string{{"status", "-o", "json", "--all"}, {"events", "-n", "10000", "-o", "json"}, {"token", "list", "-o", "json"},
		{"operator", "list", "-o", "json"}, {"secret", "list", "-o", "json"}, {"authz"}} {
		all["output of "+strings.Join(args, " ")] = c.run(args...).all()
	}
	blobs, _ := filepath.Glob(c.path("state/artifacts/blobs/*/*"))
	paths := []string{"/", "/install.sh", "/healthz", "/generation.json", "/manifest.json"}
	for _, blob := range blobs {
		paths = append(paths, strings.TrimPrefix(blob, c.path("state/artifacts")))
	}
	for _, path := range paths {
		resp, err := http.Get("http://" + bridge + ":8080" + path)
		if err != nil {
			c.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			c.t.Fatal(err)
		}
		all["answer to "+path] = string(text)
	}
	return all
}

// files are those below dir, packed ones unpacked too. The programs are left out: they were made before any secret.
func (c *coordinator) files(all map[string]string, prefix, dir string) {
	c.t.Helper()
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		c.t.Fatal(err)
	}
	defer unpack.Close()
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return skipGone(err)
		}
		name := prefix + strings.TrimPrefix(path, dir+"/")
		if !e.Type().IsRegular() || regexp.MustCompile(`^coordinator/(coordinator|bootstrap-agent-[^/]*)$`).MatchString(name) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return skipGone(err)
		}
		if len(text) > 8<<20 && strings.HasPrefix(string(text), "\x7fELF") {
			return nil
		}
		all[name] = string(text)
		if plain, err := unpack.DecodeAll(text, nil); err == nil && len(plain) < 8<<20 {
			all[name+", unpacked"] = string(plain)
		}
		return nil
	}); err != nil {
		c.t.Fatal(err)
	}
}

func wantOnlyWhereTheyBelong(t *testing.T, when string, canaries []canary, all map[string]string) {
	t.Helper()
	for where, text := range all {
		for _, c := range canaries {
			if c.in(text) && !c.belongs.MatchString(where) {
				t.Errorf("%s, %s is in %s", when, c.name, where)
			}
		}
	}
}
