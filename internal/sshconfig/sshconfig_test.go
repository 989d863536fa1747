package sshconfig_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/fault"
	"muster/internal/sshconfig"
)

// fleet is what an operator's file looks like.
const fleet = `# hosts
Host web-* !web-9
  User deploy
  Port 2222
  ProxyJump ops@bastion:2200,inner
  IdentityFile ~/.ssh/web_%r_%p
  IdentityFile "/keys/second key"
  IdentitiesOnly yes
  CertificateFile /keys/%n-cert.pub
Host short
  HostName %h.example.com
  HostKeyAlias alias-of-short
  UserKnownHostsFile /etc/fleet/known_%k ~/.ssh/more
  ConnectTimeout 7
  IdentityAgent /run/agent-%u
Host direct
  ProxyJump none
  ProxyCommand nc %h %p
  UserKnownHostsFile none
  IdentityAgent none
Host eq
  user=someone
  port = 2022
Match host m1
  User matched
Match all
  ConnectTimeout 30
Host *
  User late
  ProxyJump other
  IdentityFile /keys/any
`

func load(t *testing.T, text string) *sshconfig.Config {
	t.Helper()
	c, err := sshconfig.Load(file(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatAHostGets(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	c := load(t, fleet)
	other := []sshconfig.Jump{{Host: "other"}}
	for name, test := range map[string]struct {
		host, user string
		port       int
		want       sshconfig.Settings
	}{
		"patterns, jumps and several keys": {host: "web-1", want: sshconfig.Settings{
			HostName: "web-1", User: "deploy", Port: 2222, IdentitiesOnly: true, ConnectTimeout: 30 * time.Second,
			Jumps:            []sshconfig.Jump{{User: "ops", Host: "bastion", Port: 2200}, {Host: "inner"}},
			IdentityFiles:    []string{home + "/.ssh/web_deploy_2222", "/keys/second key", "/keys/any"},
			CertificateFiles: []string{"/keys/web-1-cert.pub"},
		}},
		"user and port of a flag count in tokens": {host: "web-1", user: "root", port: 22, want: sshconfig.Settings{
			HostName: "web-1", User: "deploy", Port: 2222, IdentitiesOnly: true, ConnectTimeout: 30 * time.Second,
			Jumps:            []sshconfig.Jump{{User: "ops", Host: "bastion", Port: 2200}, {Host: "inner"}},
			IdentityFiles:    []string{home + "/.ssh/web_root_22", "/keys/second key", "/keys/any"},
			CertificateFiles: []string{"/keys/web-1-cert.pub"},
		}},
		"a pattern that is excepted": {host: "web-9", want: sshconfig.Settings{
			HostName: "web-9", User: "late", Jumps: other, IdentityFiles: []string{"/keys/any"}, ConnectTimeout: 30 * time.Second,
		}},
		"another name, its key's name and files": {host: "short", want: sshconfig.Settings{
			HostName: "short.example.com", User: "late", HostKeyAlias: "alias-of-short", ConnectTimeout: 7 * time.Second, Jumps: other,
			KnownHosts: []string{"/etc/fleet/known_alias-of-short", home + "/.ssh/more"}, IdentityFiles: []string{"/keys/any"},
			IdentityAgent: "/run/agent-" + username(t),
		}},
		"none means none": {host: "direct", want: sshconfig.Settings{
			HostName: "direct", User: "late", KnownHosts: []string{}, IdentityAgent: "none", IdentityFiles: []string{"/keys/any"}, ConnectTimeout: 30 * time.Second,
		}},
		"equals signs and small letters": {host: "eq", want: sshconfig.Settings{
			HostName: "eq", User: "someone", Port: 2022, Jumps: other, IdentityFiles: []string{"/keys/any"}, ConnectTimeout: 30 * time.Second,
		}},
		"Match host": {host: "m1", want: sshconfig.Settings{
			HostName: "m1", User: "matched", Jumps: other, IdentityFiles: []string{"/keys/any"}, ConnectTimeout: 30 * time.Second,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Host(test.host, test.user, test.port)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func username(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// OpenSSH itself says what its configuration means.
func TestTheAnswersAreThoseOfOpenSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("SKIPPED: THE READING OF ssh_config IS NOT COMPARED WITH OpenSSH: ssh is missing; install openssh-client")
	}
	path := file(t, fleet)
	c, err := sshconfig.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"web-1", "web-9", "short", "direct", "eq", "m1", "10.0.0.1", "elsewhere"} {
		s, err := c.Host(host, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ssh", "-G", "-F", path, host).Output()
		if err != nil {
			t.Fatal(err)
		}
		theirs := map[string]string{}
		identities := 0
		for line := range strings.Lines(string(out)) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
			theirs[k] = v
			if k == "identityfile" {
				identities++
			}
		}
		var jumps []string
		for _, j := range s.Jumps {
			text := j.Host
			if j.User != "" {
				text = j.User + "@" + text
			}
			if j.Port != 0 {
				text += fmt.Sprintf(":%d", j.Port)
			}
			jumps = append(jumps, text)
		}
		ours := map[string]string{
			"hostname": s.HostName, "user": s.User, "port": fmt.Sprint(cmp.Or(s.Port, 22)), "proxyjump": strings.Join(jumps, ","),
			"hostkeyalias": s.HostKeyAlias, "connecttimeout": fmt.Sprint(int(s.ConnectTimeout.Seconds())),
			"identitiesonly": map[bool]string{true: "yes", false: "no"}[s.IdentitiesOnly],
		}
		for k, v := range ours {
			if theirs[k] != v {
				t.Errorf("%s: %s is %q for OpenSSH and %q here", host, k, theirs[k], v)
			}
		}
		if identities != len(s.IdentityFiles) {
			t.Errorf("%s: %d identity files for OpenSSH, %d here", host, identities, len(s.IdentityFiles))
		}
	}
}

func TestIncludedFilesCountWhereTheyStand(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.conf": "Host one\n  User from-a\n", "b.conf": "Host *\n  Port 2200\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, "Include "+dir+"/*.conf\nHost one\n  User own\n  Port 22\nHost two\n  User own\n")
	for host, want := range map[string]string{"one": "from-a 2200", "two": "own 2200"} {
		s, err := c.Host(host, "", 0)
		if got := fmt.Sprint(s.User, " ", s.Port); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", host, got, err, want)
		}
	}
}

func TestWhatCannotBeFollowedExactlyIsRefusedWithItsLine(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.WriteFile(loop, []byte("Include "+loop+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	included := filepath.Join(dir, "included")
	if err := os.WriteFile(included, []byte("\nMatch exec \"touch /tmp/x\"\n  User a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ text, want string }{
		"a command as a condition":  {"Host a\nMatch exec \"true\"\n", ":2: Match exec"},
		"a condition on the user":   {"Match user bob\n", ":1: Match user bob is not supported"},
		"a second condition":        {"Match host a user bob\n", ":1: Match host a user bob is not supported"},
		"a list of patterns":        {"Match host a,b\n", ":1: Match host a,b is not supported"},
		"final, as in RHEL":         {"Match final all\n", ":1: Match final all is not supported"},
		"in an included file":       {"Include " + included + "\n", included + ":2: Match exec"},
		"an endless Include":        {"Include " + loop + "\n", "deeper than 5 files"},
		"tabs between patterns":     {"Host a\tb\n", ":1: the patterns of Host"},
		"Match without a condition": {"Match\n", ":1: Match  is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, test.text)
			_, err := sshconfig.Load(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.Remedy(err) == "" {
				t.Errorf("got %v (remedy %q), want %q", err, fault.Remedy(err), test.want)
			}
		})
	}
	if _, err := os.Stat("/tmp/x"); err == nil {
		t.Error("the command of Match exec was run")
	}
}

func TestSettingsThatCannotBeMeantAreRefusedForThatHostAlone(t *testing.T) {
	c := load(t, "Host port\n Port 0\nHost word\n Port ssh\nHost jump\n ProxyJump a:b\nHost command\n ProxyCommand nc %h %p\nHost token\n IdentityFile /k/%C\n"+
		"Host variable\n IdentityFile ${MUSTER_UNSET}/k\nHost time\n ConnectTimeout soon\nHost percent\n HostName a%\nHost loop\n ProxyJump a,-b\n")
	for host, want := range map[string]string{
		"port": "Port 0", "word": "Port ssh", "jump": "b is not a port", "command": "use ProxyJump", "token": "the token %C", "loop": `"-b" is not a jump host`,
		"variable": "MUSTER_UNSET, which is not set", "time": "no number of seconds", "percent": "lone %",
	} {
		_, err := c.Host(host, "", 0)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) || !strings.Contains(fault.Remedy(err), "--ssh-config") {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
	if _, err := c.Host("another", "", 0); err != nil {
		t.Error(err)
	}
}

func TestAFileThatOthersMayWriteIsRefused(t *testing.T) {
	path := file(t, "Host *\n User a\n")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := sshconfig.Load(path); !errors.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
}

func TestNoFileAndNoConfigSayNothing(t *testing.T) {
	if _, err := sshconfig.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	var c *sshconfig.Config
	if s, err := c.Host("a", "", 0); err != nil || !reflect.DeepEqual(s, sshconfig.Settings{HostName: "a"}) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestParseJumps(t *testing.T) {
	for text, want := range map[string][]sshconfig.Jump{
		"none": nil, "a": {{Host: "a"}}, "u@a:2": {{User: "u", Host: "a", Port: 2}}, "a,b": {{Host: "a"}, {Host: "b"}},
		"ssh://u@a:22/": {{User: "u", Host: "a", Port: 22}}, "[fd00::1]:22": {{Host: "fd00::1", Port: 22}}, "fd00::1": {{Host: "fd00::1"}},
		"u@corp@a": {{User: "u@corp", Host: "a"}},
	} {
		if got, err := sshconfig.ParseJumps(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a,", "a:0", "a:70000", "-oProxyCommand=x", "a b", "$(x)"} {
		if got, err := sshconfig.ParseJumps(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}
