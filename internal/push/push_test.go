package push

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Fake sudos. Each is called as sudo -n PROGRAM ARGUMENTS.
const (
	sudoWorks    = `[ "$1" = -n ] || exit 9; shift; echo x >>"$(dirname "$0")/sudo.used"; exec "$@"` + "\n"
	sudoPassword = `echo "sudo: a password is required" >&2; exit 1` + "\n"
	sudoDenied   = `echo "Sorry, user op is not allowed to execute '/tmp/x' as root on db1." >&2; exit 1` + "\n"
	sudoTTY      = `shift; (: </dev/tty) 2>/dev/null || { echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1; }; exec "$@"` + "\n"
	sudoTTYNever = `echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1` + "\n"
)

func TestPushToOpenSSH(t *testing.T) {
	launched := `cp "$2" "$RECORD/seed"; ls -ld "$(dirname "$0")" "$2" >"$RECORD/modes"; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >"$RECORD/processes" 2>/dev/null; echo launched`
	cases := []struct {
		name     string
		sudo     string // empty: the login user counts as root if the test does
		programs map[string]string
		launch   string
		sshd     []string
		class    Class
		message  []string
		remedy   string
	}{
		{name: "root starts the agent without sudo"},
		{name: "another user starts the agent with sudo", sudo: sudoWorks},
		{name: "a sudo that wants a terminal gets one", sudo: sudoTTY},
		{name: "a sudo that is never content with the terminal is reported", sudo: sudoTTYNever, class: SudoTTY, message: []string{"you must have a tty"}, remedy: "requiretty"},
		{name: "a host that gives no terminal is reported", sudo: sudoTTY, sshd: []string{"PermitTTY no"}, class: SudoTTY, message: []string{"gives none"}},
		{name: "a host that allows one session only is reported", sudo: sudoTTY, sshd: []string{"MaxSessions 1"}, class: SudoTTY, message: []string{"no second session"}},
		{name: "a sudo that wants a password is reported", sudo: sudoPassword, class: SudoPassword, message: []string{"a password is required"}, remedy: "NOPASSWD"},
		{name: "a sudo that refuses the user is reported", sudo: sudoDenied, class: SudoDenied, message: []string{"not allowed to execute"}},
		{
			name: "the agent's own error and remedy are passed on", sudo: sudoWorks, class: StartFailed,
			launch:  `echo noise; echo "error: systemd 180 is too old" >&2; echo "remedy: install systemd 200" >&2; exit 1`,
			message: []string{"systemd 180 is too old"}, remedy: "install systemd 200",
		},
		{
			name: "the agent's error on the terminal is passed on too", sudo: sudoTTY, class: StartFailed,
			launch:  `echo "error: no systemd" >&2; echo "remedy: use another host" >&2; exit 1`,
			message: []string{"no systemd"}, remedy: "use another host",
		},
		{
			name: "an agent that dies without a word is reported with its status", class: StartFailed,
			launch: `exit 42`, message: []string{"status 42"},
		},
		{
			name: "escape sequences of a host are made visible", class: StartFailed,
			launch: `printf 'error: \033[2Jgone\007\n'; exit 1`, message: []string{`\x1b[2Jgone\x07`},
		},
		{name: "a busybox host without a usable dd flag works", programs: map[string]string{
			"head": `exec busybox head "$@"` + "\n", "dd": `exec busybox dd "$@"` + "\n", "sha256sum": `exec busybox sha256sum "$@"` + "\n", "df": `exec busybox df "$@"` + "\n",
		}},
		{name: "a host whose head knows no -c is served by dd", programs: map[string]string{"head": "exit 1\n"}},
		{name: "a host with neither is told what is missing", programs: map[string]string{
			"head": "exit 1\n", "dd": `case "$*" in *fullblock*) exit 1 ;; esac; exec /usr/bin/dd "$@"` + "\n",
		}, class: MissingTool, message: []string{"head -c"}},
		{name: "a full disk is known before the upload", programs: map[string]string{
			"df": "echo Filesystem; echo /dev/x 100 99 1 99% /\n",
		}, class: NoSpace, message: []string{"/var/tmp has 1 KiB free"}},
		{name: "another architecture is reported", programs: map[string]string{
			"uname": `[ $1 = -sm ] && echo Linux riscv64` + "\n",
		}, class: Architecture, message: []string{"riscv64", "amd64, arm64"}},
		{name: "a damaged agent is not started", programs: map[string]string{
			"sha256sum": "echo 0000 -\n",
		}, class: UploadFailed, message: []string{"another SHA-256"}},
		{name: "a forced command that ends at once is reported with its words", sshd: []string{"ForceCommand echo No shell for you."}, class: SessionRefused, message: []string{"No shell for you."}},
		{name: "a login shell that talks first is listened through", sshd: []string{`ForceCommand echo hello; eval "$SSH_ORIGINAL_COMMAND"`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.sudo == "" && os.Getuid() != 0 {
				c.sudo = sudoWorks
			}
			before := leftovers(t)
			s := startSSHD(t, c.sshd...)
			if c.sudo != "" {
				s.unprivileged(c.sudo)
			}
			for name, script := range c.programs {
				s.program(name, script)
			}
			launch := c.launch
			if launch == "" {
				launch = launched
			}
			record := t.TempDir()
			r := s.push(s.options(shellAgent("RECORD="+record+"\n"+launch, 3_000_001)))
			nothingLeft(t, before)
			if c.class != "" {
				wantFailure(t, r.Err, c.class, c.remedy, c.message...)
				return
			}
			if r.Err != nil {
				t.Fatalf("%s\n%s", r.Err, r.Err.Remedy)
			}
			if got := read(t, filepath.Join(record, "seed")); got != testSeed {
				t.Errorf("the agent got the seed %q", got)
			}
			modes := read(t, filepath.Join(record, "modes"))
			if !strings.HasPrefix(modes, "drwx------") || !strings.Contains(modes, "\n-rw-------") {
				t.Errorf("directory and seed are open to others:\n%s", modes)
			}
			if strings.Contains(read(t, filepath.Join(record, "processes")), "s3cr3t") {
				t.Error("the token shows in the arguments or environment of a process")
			}
			if len(r.Steps) != 4 || r.Steps[3].Step != Starting {
				t.Errorf("steps are %v", r.Steps)
			}
		})
	}
}

func wantFailure(t *testing.T, err *Error, class Class, remedy string, message ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("succeeded, should fail with %s", class)
	}
	if !errors.Is(err, class) {
		t.Errorf("class is %s, should be %s: %s", err.Class, class, err)
	}
	for _, m := range message {
		if !strings.Contains(err.Error(), m) {
			t.Errorf("%q should contain %q", err.Error(), m)
		}
	}
	if err.Remedy == "" || !strings.Contains(err.Remedy, remedy) {
		t.Errorf("remedy %q should contain %q", err.Remedy, remedy)
	}
	if strings.Contains(err.Error()+err.Remedy, "s3cr3t") {
		t.Error("the token is in the message")
	}
}

func TestWhatBreaksOffLeavesNothingOnTheHost(t *testing.T) {
	cases := []struct {
		name   string
		launch string
		when   func(Event) bool
		class  Class
		limit  time.Duration
	}{
		{name: "an interruption in the middle of the upload", when: func(e Event) bool { return e.Bytes > 0 }, class: Interrupted},
		{name: "an interruption while the agent starts", launch: "exec sleep 60", when: func(e Event) bool { return e.Step == Starting }, class: Interrupted},
		{name: "an agent that ignores the signal to end", launch: `trap "" TERM; sleep 3; sleep 3; sleep 60`, when: func(e Event) bool { return e.Step == Starting }, class: Interrupted},
		{name: "an agent that doesn't end in time", launch: "sleep 60", class: Timeout, limit: time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := leftovers(t)
			s := startSSHD(t)
			s.unprivileged(sudoWorks)
			pid := filepath.Join(t.TempDir(), "pid")
			opts := s.options(shellAgent("echo $$ >"+pid+"\n"+c.launch, 40<<20))
			if c.limit > 0 {
				opts.HostTimeout = c.limit
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			results, err := Push(ctx, opts, []Target{s.target()}, func(e Event) {
				if c.when != nil && c.when(e) {
					cancel()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			wantFailure(t, results[0].Err, c.class, "")
			nothingLeft(t, before)
			if content, err := os.ReadFile(pid); err == nil {
				if _, err := os.Stat("/proc/" + strings.TrimSpace(string(content))); err == nil {
					t.Error("the agent still runs")
				}
			}
		})
	}
}
