//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// safeValue is a value that quotes, shells and regular expressions trip over.
const safeValue = `Canary $(id) "7" 'of' \n 50%`

// safe is a cluster of one role whose service has a secret.
type safe struct {
	*coordinator
	// export and other are the files of secrets of its two roles.
	export, other string
}

// newSafe generates the cluster and exports its secret, without a coordinator running.
func newSafe(t *testing.T, l *lab) *safe {
	t.Helper()
	s := &safe{coordinator: &coordinator{t: t, lab: l, dir: t.TempDir()}}
	copyPrograms(t, s.dir)
	for name, text := range map[string]string{
		"bundle/bundle.yaml": `bundle: 1
name: safe
version: "1"
roles: {keeper: {}, other: {}}
secrets:
  word: {roles: [keeper, other], given: true}
files:
  etc/word: {roles: [keeper, other], template: word}
units:
  safe: {template: unit}
checks:
  knows-the-word: {stage: postflight, roles: [keeper], script: telltale.sh, severity: warning, remedy: None; it tells what it knows.}
`,
		"bundle/word": "{{ .Secret.word | raw }}",
		"bundle/unit": `[Service]
LoadCredential=word:{{ .Cluster.Root }}/current/etc/word
ExecStart=/bin/sh -c 'test -s $CREDENTIALS_DIRECTORY/word && exec sleep infinity'
`,
		"bundle/telltale.sh": "printf 'the word is %s\\n' {{ .Secret.word | shell }}; exit 1\n",
		"cluster.yaml":       "cluster: safe\nbundle: bundle\ncoordinator: {addresses: [" + bridge + "]}\nsecrets: {word: {file: word}}\n",
		"word":               safeValue + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(s.dir, name), text)
	}
	if err := os.Chmod(filepath.Join(s.dir, "word"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("genconf")
	s.must("secret", "load")
	s.export = s.must("secret", "export", "--role", "keeper")
	s.other = s.must("secret", "export", "--role", "other")
	return s
}

// wantSecretsHandedOver installs the role with its secret on a host as docs/secrets.md tells: but first in every wrong way.
func (s *safe) wantSecretsHandedOver(host int) {
	t, l := s.t, s.lab
	if strings.Contains(s.export, safeValue) {
		t.Error("the file of secrets shows the value at a glance")
	}
	bring := func(name, text, mode string) {
		if _, err := l.run([]byte(text), "exec", strconv.Itoa(host), "--", "sh", "-c", "cat >/root/"+name+" && chmod "+mode+" /root/"+name); err != nil {
			t.Error(err)
		}
	}
	bring("good", s.export, "600")
	bring("readable", s.export, "644")
	bring("of-another", s.export, "600 /root/of-another; chown admin")
	bring("cut-off", s.export[:len(s.export)/2], "600")
	bring("of-another-role", s.other, "600")
	bring("of-another-cluster", strings.Replace(s.export, `"safe"`, `"demo"`, 1), "600")
	bring("without-the-value", regexp.MustCompile(`(?s)"secrets": \{.*\}`).ReplaceAllString(s.export, `"secrets": {}}`), "600")
	if _, err := l.sh(host, "cd /root && curl -fsSO "+mirror+"/safe/install.sh"); err != nil {
		t.Error(err)
		return
	}
	before := l.snapshot(host)
	install := func(arguments string) (string, error) {
		return l.install(host, "keeper --source "+mirror+"/safe "+arguments)
	}
	for _, c := range []struct{ name, arguments, want string }{
		{"no file", "", "role keeper needs secrets (word)"},
		{"a file that is not there", "--secrets /root/nowhere", "/root/nowhere"},
		{"a file that others can read", "--secrets /root/readable", "can be read by others than its owner (mode 0644)"},
		{"a file of somebody else", "--secrets /root/of-another", "belongs to another user"},
		{"a file that is cut off", "--secrets=cut-off", "the file of secrets is not in the form"},
		{"the file of another role", "--secrets=of-another-role", "for role other of cluster safe"},
		{"the file of another cluster", "--secrets=of-another-cluster", "for role keeper of cluster demo"},
		{"a file without the value", "--secrets=without-the-value", "lacks word"},
	} {
		said, err := install(c.arguments)
		if err == nil || !strings.Contains(said, c.want) || !strings.Contains(said, "remedy: ") {
			t.Errorf("%s: error %v, said\n%s\nwant %q and a remedy", c.name, err, said, c.want)
		}
		if strings.Contains(said, "Canary") {
			t.Errorf("%s: the value is shown:\n%s", c.name, said)
		}
	}
	if said, err := install("--preflight-only"); err != nil {
		t.Errorf("preflight needs no secrets: %v\n%s", err, said)
	}
	wantNoChange(t, "a host without the right secrets", before.changes(l.snapshot(host), systemdsOwn...))

	said, err := install("--secrets good")
	if err != nil {
		t.Errorf("%v\n%s", err, said)
		return
	}
	if strings.Contains(said, "Canary") || !strings.Contains(said, "[secret word]") {
		t.Errorf("what the check printed is not masked:\n%s", said)
	}
	if got, _ := l.sh(host, "systemctl is-active safe-safe; stat -Lc '%a %U' /opt/safe/current/etc/word; cat /opt/safe/current/etc/word"); got != "active\n600 root\n"+safeValue {
		t.Errorf("the installed service and its secret: %q", got)
	}
	wantSecretOnlyAt(t, l, host, `^/(opt/safe/generations/[0-9a-f-]+/etc/word)$`)
	l.wantNoAgent(host)
	if said, err := l.install(host, "--uninstall --purge --source "+mirror+"/safe"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	wantNoChange(t, "the host afterwards", before.changes(l.snapshot(host), systemdsOwn...))
}

// wantSecretOnlyAt looks for the value, as it is, through all that the host's disk holds.
func wantSecretOnlyAt(t *testing.T, l *lab, host int, places string) {
	upper, allowed := l.upper(host), regexp.MustCompile(places)
	found := 0
	err := filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return skipGone(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return skipGone(err)
		}
		if strings.Contains(string(text), "Canary") {
			found++
			if name := strings.TrimPrefix(path, upper); !allowed.MatchString(name) {
				t.Errorf("the value is in %s of host%d", name, host)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("the value was found in %d files (error %v)", found, err)
	}
}
