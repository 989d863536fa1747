package sshconfig_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"muster/internal/sshconfig"
)

// What OpenSSH says (ssh -G) of files as people have them is what is said here, or else the file is refused.
func TestEachFileIsReadAsOpenSSHReadsItOrRefused(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("SKIPPED: THE READING OF ssh_config IS NOT COMPARED WITH OpenSSH: ssh is missing; install openssh-client")
	}
	for name, c := range map[string]struct{ text, host string }{
		"ProxyCommand comes first":             {"Host a\n ProxyCommand nc %h %p\nHost *\n ProxyJump b\n", "a"},
		"ProxyCommand none comes first":        {"Host a\n ProxyCommand none\nHost *\n ProxyJump b\n", "a"},
		"IdentitiesOnly true":                  {"Host *\n IdentitiesOnly true\n", "a"},
		"quoted user":                          {"Host *\n User \"deploy\"\n", "a"},
		"quoted port":                          {"Host *\n Port \"2222\"\n", "a"},
		"quoted pattern":                       {"Host \"web 1\" a\n User deploy\n", "a"},
		"a comment behind a value":             {"Host *\n User deploy # he\n", "a"},
		"capitals in a pattern":                {"Host Web-*\n User deploy\n", "web-1"},
		"capitals in a name":                   {"Host web-*\n User deploy\n", "WEB-1"},
		"a question mark":                      {"Host web-?\n User deploy\n", "web-1"},
		"only an exception":                    {"Host !a\n User deploy\n", "b"},
		"an exception before the pattern":      {"Host !a *\n User deploy\n", "a"},
		"brackets are no ranges":               {"Host web[12]\n User deploy\n", "web1"},
		"a comma in Host":                      {"Host a,b\n User deploy\n", "a"},
		"a dot is a dot":                       {"Host a.b\n User deploy\n", "axb"},
		"an IPv6 address":                      {"Host 2001:db8::*\n User deploy\n", "2001:db8::1"},
		"a question mark for nothing":          {"Host web-?\n User deploy\n", "web-"},
		"a quoted pattern that matches":        {"Host \"web-*\"\n User deploy\n", "web-1"},
		"ProxyJump comes first":                {"Host a\n ProxyJump b\nHost *\n ProxyCommand nc %h %p\n", "a"},
		"IdentitiesOnly false, then yes":       {"Host a\n IdentitiesOnly false\nHost *\n IdentitiesOnly yes\n", "a"},
		"Match host before its HostName":       {"Match host real\n User deploy\nHost a\n HostName real\n", "a"},
		"Match host with tokens in HostName":   {"Host a\n HostName %h.example\nMatch host *.example\n User deploy\n", "a"},
		"Match host in capitals":               {"Host a\n HostName REAL\nMatch host Real\n User deploy\n", "a"},
		"several stars":                        {"Host *a*b*c\n User deploy\n", "xaybbzc"},
		"settings before the first Host":       {"User early\nHost *\n User late\n", "a"},
		"Match all in the middle":              {"Host b\n User b\nMatch all\n Port 99\n", "a"},
		"Match host with a pattern":            {"Match host web-*\n User deploy\n", "web-1"},
		"Match host looks at HostName":         {"Host a\n HostName real\nMatch host real\n User deploy\n", "a"},
		"Match host and not at the alias":      {"Host a\n HostName real\nMatch host a\n User deploy\n", "a"},
		"Match originalhost":                   {"Match originalhost a\n User deploy\n", "a"},
		"spaces around =":                      {"Host *\n Port = 77\n", "a"},
		"a tab after the keyword":              {"Host *\n\tPort\t77\n", "a"},
		"CanonicalizeHostname":                 {"CanonicalizeHostname yes\nCanonicalDomains example.com\nHost *\n User a\n", "a"},
		"HostName twice":                       {"Host a\n HostName one\nHost *\n HostName two\n", "a"},
		"ProxyJump twice":                      {"Host a\n ProxyJump none\nHost *\n ProxyJump b\n", "a"},
		"ConnectTimeout in minutes":            {"Host *\n ConnectTimeout 1m\n", "a"},
		"StrictHostKeyChecking no":             {"Host *\n StrictHostKeyChecking no\n User u\n", "a"},
		"quoted identity with a comment after": {"Host *\n IdentityFile \"/k/a b\" # c\n", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, c.text)
			out, err := exec.Command("ssh", "-G", "-F", path, c.host).Output()
			if err != nil {
				t.Skipf("OpenSSH refuses it: %v", err)
			}
			theirs := map[string]string{}
			for line := range strings.Lines(string(out)) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
				if _, ok := theirs[k]; !ok {
					theirs[k] = v
				}
			}
			cfg, err := sshconfig.Load(path)
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			s, err := cfg.Host(c.host, "", 0)
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			user := s.User
			if user == "" {
				user = username(t)
			}
			port := s.Port
			if port == 0 {
				port = 22
			}
			jump := ""
			if len(s.Jumps) > 0 {
				jump = s.Jumps[0].Host
			}
			for k, got := range map[string]string{"user": user, "port": fmt.Sprint(port), "hostname": strings.ToLower(s.HostName), "proxyjump": jump,
				"identitiesonly": map[bool]string{true: "yes", false: "no"}[s.IdentitiesOnly]} {
				if theirs[k] != got {
					t.Errorf("%s is %q for OpenSSH and %q here", k, theirs[k], got)
				}
			}
			if p := theirs["proxycommand"]; p != "" && p != "none" {
				t.Errorf("OpenSSH uses ProxyCommand %s; here it is passed over (jumps %v)", p, s.Jumps)
			}
		})
	}
}
