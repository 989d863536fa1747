package push

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Sudos that ask for a password as sudo does: -n says that one is required, -S reads it from standard input after a
// prompt, and a wrong one is asked for again until the input ends.
const (
	sudoAsks = `[ "$1" = -n ] && { echo "sudo: a password is required" >&2; exit 1; }
[ "$1" = -S ] && [ "$2" = -p ] || exit 9
prompt=$3; shift 3
printf "%s" "$prompt" >&2
IFS= read -r password || { echo "sudo: no password was provided" >&2; exit 1; }
[ "$password" = "geheim \$x" ] || { echo "Sorry, try again." >&2; echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
exec "$@" </dev/null
`
	sudoAsksOnTerminal = `(: </dev/tty) 2>/dev/null || { echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1; }
` + sudoAsks
	doasWorks = `[ "$1" = -n ] || exit 9; shift; exec "$@"` + "\n"
	doasAsks  = `[ "$1" = -n ] && { echo "doas: Authentication required" >&2; exit 1; }
printf "doas (op@db1) password: " >/dev/tty
IFS= read -r password </dev/tty
[ "$password" = "geheim \$x" ] || { echo "doas: Authentication failed" >&2; exit 1; }
exec "$@"
`
	doasRefuses = `echo "doas: Operation not permitted" >&2; exit 1` + "\n"
	rightSecret = "geheim $x"
)

func TestWaysToBecomeRoot(t *testing.T) {
	for name, c := range map[string]struct {
		sudo, doas string
		password   string
		sshd       []string
		class      Class
		message    string
		remedy     string
	}{
		"sudo with its password":                      {sudo: sudoAsks, password: rightSecret},
		"sudo with its password, one session":         {sudo: sudoAsks, password: rightSecret, sshd: []string{"MaxSessions 1"}},
		"sudo with a wrong password":                  {sudo: sudoAsks, password: "falsch", class: WrongPassword, message: "try again", remedy: "--ask-sudo"},
		"sudo that asks and nobody knows":             {sudo: sudoAsks, class: SudoPassword, message: "a password is required", remedy: "--ask-sudo"},
		"sudo that doesn't ask is told nothing":       {sudo: sudoWorks, password: rightSecret},
		"requiretty":                                  {sudo: sudoTTY},
		"requiretty and a password":                   {sudo: sudoAsksOnTerminal, password: rightSecret},
		"requiretty and a wrong password":             {sudo: sudoAsksOnTerminal, password: "falsch", class: WrongPassword},
		"requiretty and a password that nobody knows": {sudo: sudoAsksOnTerminal, class: SudoPassword},
		"a sudo that echoes what it was told":         {sudo: sudoAsksAndEchoes, password: rightSecret, class: StartFailed, message: "you said [secret]"},
		"doas":                                        {doas: doasWorks},
		"doas with its password":                      {doas: doasAsks, password: rightSecret},
		"doas with a wrong password":                  {doas: doasAsks, password: "falsch", class: WrongPassword, message: "Authentication failed"},
		"doas that asks and nobody knows":             {doas: doasAsks, class: SudoPassword, remedy: "--ask-sudo"},
		"doas that refuses":                           {doas: doasRefuses, class: SudoDenied},
		"neither sudo nor doas":                       {class: SudoMissing, message: "neither sudo nor doas", remedy: "push as root"},
	} {
		t.Run(name, func(t *testing.T) {
			before := leftovers(t)
			setup := ""
			if c.sudo == "" {
				setup = hide("sudo")
			}
			s := startSSHDWith(t, setup, c.sshd...)
			s.program("id", "echo 1000\n")
			if c.sudo != "" {
				s.program("sudo", c.sudo)
			}
			if c.doas != "" {
				s.program("doas", c.doas)
			}
			record := t.TempDir()
			opts := s.options(shellAgent(`cp "$2" `+record+`/seed; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >`+record+`/processes 2>/dev/null; echo launched`, 100_000))
			opts.SudoPassword = Secret(c.password)
			r := s.push(opts)
			nothingLeft(t, before)
			if c.class != "" {
				wantFailure(t, r.Err, c.class, c.remedy, c.message)
				if strings.Contains(r.Err.Error(), "geheim") || strings.Contains(r.Err.Error(), "falsch") {
					t.Errorf("the password is in the message: %s", r.Err)
				}
				return
			}
			if r.Err != nil {
				t.Fatalf("%s\n%s", r.Err, r.Err.Remedy)
			}
			if got := read(t, filepath.Join(record, "seed")); got != testSeed {
				t.Errorf("the agent got the seed %q", got)
			}
			if processes := read(t, filepath.Join(record, "processes")); strings.Contains(processes, "geheim") || strings.Contains(processes, "s3cr3t") {
				t.Error("the password or the token shows in the arguments or environment of a process")
			}
		})
	}
}

const sudoAsksAndEchoes = `[ "$1" = -n ] && { echo "sudo: a password is required" >&2; exit 1; }
IFS= read -r password; echo "error: you said $password" >&2; exit 1
`

func TestPasswordLogins(t *testing.T) {
	passwords := func(h *fakeHost, interactive bool) {
		h.session = goodSession(10)
		h.configure = func(c *ssh.ServerConfig) {
			c.PublicKeyCallback = nil
			check := func(got string) (*ssh.Permissions, error) {
				h.logins.Add(1)
				if got != "geheim" {
					return nil, fmt.Errorf("no")
				}
				return nil, nil
			}
			if interactive {
				c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
					answers, err := ask("", "", []string{h.question}, []bool{false})
					if err != nil || len(answers) != 1 {
						return nil, fmt.Errorf("no answer")
					}
					return check(answers[0])
				}
			}
			if h.question == "Verification code: " {
				return
			}
			c.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) { return check(string(password)) }
		}
	}
	for name, c := range map[string]struct {
		interactive bool
		question    string
		password    string
		attempts    int32
		class       Class
		remedy      string
	}{
		"by the password method":                         {password: "geheim", attempts: 1},
		"by keyboard-interactive":                        {interactive: true, question: "Password: ", password: "geheim", attempts: 1},
		"a wrong one is sent once":                       {password: "falsch", attempts: 1, class: AuthRefused, remedy: "the password"},
		"a wrong one is sent once, not in both ways":     {interactive: true, question: "Password: ", password: "falsch", attempts: 1, class: AuthRefused},
		"a question for a code doesn't get the password": {interactive: true, question: "Verification code: ", password: "geheim", class: AuthRefused},
		"a key where passwords are taken":                {class: AuthRefused, remedy: "--ask-password"},
	} {
		t.Run(name, func(t *testing.T) {
			h := startFakeHost(t, func(h *fakeHost) { h.question = c.question; passwords(h, c.interactive) })
			opts := h.options(binaryOf(make([]byte, 10)))
			if c.password != "" {
				auth, err := NewKeyring(nil).Auth(AuthSpec{Password: Secret(c.password)})
				if err != nil {
					t.Fatal(err)
				}
				opts.Auth = auth
			}
			results, err := Push(context.Background(), opts, []Target{h.target()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.class != "" {
				wantFailure(t, results[0].Err, c.class, c.remedy)
				if strings.Contains(fmt.Sprint(results[0].Err, opts), "falsch") {
					t.Error("the password is printed")
				}
			} else if results[0].Err != nil {
				t.Fatal(results[0].Err)
			}
			if h.logins.Load() != c.attempts {
				t.Errorf("the password was tried %d times, want %d", h.logins.Load(), c.attempts)
			}
		})
	}
}

// A key with a passphrase, in the ssh-agent that people use.
func TestAPassphraseKeyThroughARealSSHAgent(t *testing.T) {
	for _, program := range []string{"ssh-agent", "ssh-add"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIPPED: PUSH WITH A REAL ssh-agent IS NOT TESTED: install openssh-client")
		}
	}
	s := startSSHD(t)
	content, private := encryptedKey(t)
	key := filepath.Join(t.TempDir(), "id")
	write(t, key, content, 0o600)
	public, err := ssh.NewPublicKey(private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, "authorized"), string(ssh.MarshalAuthorizedKey(public)), 0o600)
	socket := filepath.Join(t.TempDir(), "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	eventually(t, "ssh-agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	askpass := filepath.Join(t.TempDir(), "askpass")
	write(t, askpass, "#!/bin/sh\necho open\n", 0o700)
	add := exec.Command("ssh-add", key)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket, "SSH_ASKPASS="+askpass, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	never := func(string) ([]byte, error) { t.Error("asked for the passphrase"); return nil, io.EOF }
	for name, spec := range map[string]AuthSpec{
		"the agent alone":                   {AgentSocket: socket},
		"the key's file and the agent":      {IdentityFiles: []string{key}, AgentSocket: socket},
		"IdentitiesOnly with a .pub":        {IdentityFiles: []string{key + ".pub"}, AgentSocket: socket, IdentitiesOnly: true, Origin: Configured},
		"the usual key, without a question": {IdentityFiles: []string{key}, AgentSocket: socket, Origin: Usual},
	} {
		write(t, key+".pub", string(ssh.MarshalAuthorizedKey(public)), 0o600)
		ring := NewKeyring(never)
		opts := s.options(shellAgent("true", 0))
		if opts.Auth, err = ring.Auth(spec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r := s.push(opts); r.Err != nil {
			t.Errorf("%s: %v", name, r.Err)
		}
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAPassphraseIsAskedForOnceWhateverTheNumberOfHosts(t *testing.T) {
	content, _ := encryptedKey(t)
	key := filepath.Join(t.TempDir(), "id")
	write(t, key, content, 0o600)
	asked := 0
	ring := NewKeyring(func(string) ([]byte, error) {
		if asked++; asked == 1 {
			return []byte("mistyped"), nil
		}
		return []byte("open"), nil
	})
	for range 10 {
		if _, err := ring.Auth(AuthSpec{IdentityFiles: []string{key}}); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times; a mistyped passphrase is asked for again, a right one never", asked)
	}
	other := writeKey(t, filepath.Join(t.TempDir(), "plain"))
	if a, err := ring.Auth(AuthSpec{IdentityFiles: []string{other, filepath.Join(t.TempDir(), "none")}, Origin: Usual}); err != nil || len(a.Keys()) != 1 {
		t.Errorf("usual files: %v", err)
	}
}

// A user certificate, which sshd trusts by its authority alone.
func TestAnOpenSSHUserCertificate(t *testing.T) {
	_, authority, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(authority)
	if err != nil {
		t.Fatal(err)
	}
	caFile := filepath.Join(t.TempDir(), "ca.pub")
	write(t, caFile, string(ssh.MarshalAuthorizedKey(ca.PublicKey())), 0o600)
	s := startSSHD(t, "TrustedUserCAKeys "+caFile)
	key := writeKey(t, filepath.Join(t.TempDir(), "id"))
	certify := func(file string, until time.Time) {
		c := &ssh.Certificate{Key: publicOf(t, key), CertType: ssh.UserCert, ValidPrincipals: []string{s.user}, ValidBefore: uint64(until.Unix())}
		if err := c.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		write(t, file, string(ssh.MarshalAuthorizedKey(c)), 0o600)
	}
	elsewhere := filepath.Join(t.TempDir(), "cert.pub")
	certify(elsewhere, time.Now().Add(time.Hour))
	expired := filepath.Join(t.TempDir(), "expired.pub")
	certify(expired, time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		spec  AuthSpec
		class Class
	}{
		"named":   {spec: AuthSpec{IdentityFiles: []string{key}, CertificateFiles: []string{elsewhere}}},
		"none":    {spec: AuthSpec{IdentityFiles: []string{key}}, class: AuthRefused},
		"expired": {spec: AuthSpec{IdentityFiles: []string{key}, CertificateFiles: []string{expired}}, class: AuthRefused},
	} {
		opts := s.options(shellAgent("true", 0))
		if opts.Auth, err = NewKeyring(nil).Auth(c.spec); err != nil {
			t.Fatal(err)
		}
		if r := s.push(opts); c.class != "" {
			wantFailure(t, r.Err, c.class, "")
		} else if r.Err != nil {
			t.Errorf("%s: %v", name, r.Err)
		}
	}
}

func TestJumpHosts(t *testing.T) {
	jump, host := startSSHD(t), startSSHD(t)
	both := host.options(shellAgent("true", 300_000))
	jumpAuth := jump.options(shellAgent("true", 0)).Auth
	way := func() Server {
		return Server{Name: "bastion", Address: "127.0.0.1", Port: jump.port, User: jump.user, Auth: jumpAuth, KnownHosts: []string{jump.known}}
	}
	t.Run("many hosts through one login", func(t *testing.T) {
		targets := repeat(host.target(), 12)
		for i := range targets {
			targets[i].Jumps = []Server{way()}
		}
		results, err := Push(context.Background(), both, targets, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		if n := strings.Count(jump.log.String(), "Accepted publickey"); n != 1 {
			t.Errorf("the jump host saw %d logins", n)
		}
	})
	second := startSSHD(t)
	secondAuth := second.options(shellAgent("true", 0)).Auth
	for name, c := range map[string]struct {
		jumps   []Server
		also    func(*Target)
		class   Class
		cause   Class
		message string
	}{
		"a chain of two": {jumps: []Server{way(), {Address: "127.0.0.1", Port: second.port, User: second.user, Auth: secondAuth, KnownHosts: []string{second.known}}}},
		"a jump host with another key": {jumps: []Server{{Name: "bastion", Address: "127.0.0.1", Port: jump.port, User: jump.user, Auth: jumpAuth, KnownHosts: []string{lineFor(t, jump, host.hostKey)}}},
			class: JumpHost, cause: HostKeyChanged, message: "bastion"},
		"a jump host that is not known":      {jumps: []Server{{Address: "127.0.0.1", Port: jump.port, User: jump.user, Auth: jumpAuth, KnownHosts: []string{}}}, class: JumpHost, cause: HostKeyUnknown},
		"a jump host that refuses the login": {jumps: []Server{{Address: "127.0.0.1", Port: jump.port, User: jump.user, Auth: secondAuth, KnownHosts: []string{jump.known}}}, class: JumpHost, cause: AuthRefused},
		"a jump host that is away":           {jumps: []Server{{Address: "127.0.0.1", Port: freePort(t), User: "u", Auth: jumpAuth}}, class: JumpHost, cause: Unreachable},
		"a host that the jump host can't reach": {jumps: []Server{way()}, also: func(t *Target) { t.Port = 1 },
			class: Unreachable, message: "the jump host gets no connection"},
		"a host behind it with another key": {jumps: []Server{way()}, also: func(target *Target) { target.KnownHosts = []string{lineFor(t, host, jump.hostKey)} }, class: HostKeyChanged},
	} {
		t.Run(name, func(t *testing.T) {
			target := host.target()
			target.Jumps = c.jumps
			if c.also != nil {
				c.also(&target)
			}
			results, err := Push(context.Background(), both, []Target{target, target}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if c.class == "" {
					if r.Err != nil {
						t.Fatal(r.Err)
					}
					continue
				}
				wantFailure(t, r.Err, c.class, "", c.message)
				if c.cause != "" {
					wantFailure(t, r.Err, c.cause, "")
				}
			}
		})
	}
	t.Run("a jump host that doesn't forward", func(t *testing.T) {
		closed := startSSHD(t, "AllowTcpForwarding no")
		target := host.target()
		target.Jumps = []Server{{Address: "127.0.0.1", Port: closed.port, User: closed.user, Auth: closed.options(shellAgent("true", 0)).Auth, KnownHosts: []string{closed.known}}}
		results, err := Push(context.Background(), both, []Target{target}, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantFailure(t, results[0].Err, JumpHost, "AllowTcpForwarding")
	})
}

// lineFor is a known hosts file in which the server has this key.
func lineFor(t *testing.T, s *sshServer, key ssh.PublicKey) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known")
	write(t, file, knownhosts.Line([]string{s.address()}, key)+"\n", 0o600)
	return file
}

func TestAHostKeyAliasIsTheOnlyNameThatCounts(t *testing.T) {
	s := startSSHD(t)
	opts := s.options(shellAgent("true", 0))
	target := s.target()
	target.HostKeyAlias = "db-alias"
	results, err := Push(context.Background(), opts, []Target{target}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, results[0].Err, HostKeyUnknown, "")
	write(t, s.known, knownhosts.Line([]string{"db-alias"}, s.hostKey)+"\n", 0o600)
	if results, err = Push(context.Background(), opts, []Target{target}, nil); err != nil || results[0].Err != nil {
		t.Errorf("%v, %v", err, results[0].Err)
	}
}

// A stopped sshd is what an overloaded or half-dead host looks like: the kernel still takes the connection.
func TestAStoppedServerEndsInTimeAndDelaysNobody(t *testing.T) {
	stuck, good := startSSHD(t), startSSHD(t)
	opts := good.options(shellAgent("true", 100_000))
	opts.ConnectTimeout = time.Second
	if err := stuck.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stuck.process.Signal(syscall.SIGCONT) })
	targets := []Target{stuck.target(), good.target(), good.target()}
	targets[0].KnownHosts, targets[0].Auth = []string{stuck.known}, stuck.options(shellAgent("true", 0)).Auth
	begun := time.Now()
	results, err := Push(context.Background(), opts, targets, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, results[0].Err, Timeout, "load", "no login within 1s")
	for _, r := range results[1:] {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// A host that falls silent in the middle is given up after the idle timeout, long before its whole time is over.
func TestAHostThatFallsSilentIsGivenUp(t *testing.T) {
	var silent atomic.Bool
	h := startFakeHost(t, func(h *fakeHost) {
		h.wrap = func(c net.Conn) net.Conn { return &mutedConn{Conn: c, muted: &silent, over: h.over} }
		h.session = func(c ssh.Channel) { say(c, hostLine); silent.Store(true); <-h.over }
	})
	opts := h.options(binaryOf(make([]byte, 8<<20)))
	opts.HostTimeout, opts.IdleTimeout = time.Minute, 400*time.Millisecond
	begun := time.Now()
	results, err := Push(context.Background(), opts, []Target{h.target()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, results[0].Err, Timeout, "", "sent nothing for 400ms", "uploading")
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

// mutedConn stops to read and write, as a host does that froze.
type mutedConn struct {
	net.Conn
	muted *atomic.Bool
	over  chan struct{}
}

func (m *mutedConn) Read(p []byte) (int, error) {
	if m.muted.Load() {
		<-m.over
	}
	return m.Conn.Read(p)
}

func (m *mutedConn) Write(p []byte) (int, error) {
	if m.muted.Load() {
		<-m.over
	}
	return m.Conn.Write(p)
}

func TestAnUploadLimitHoldsOverAllHosts(t *testing.T) {
	const size, hosts, limit = 200_000, 5, 1_000_000
	h := startFakeHost(t, func(h *fakeHost) { h.session = goodSession(size) })
	opts := h.options(binaryOf(make([]byte, size)))
	opts.HostTimeout, opts.UploadLimit = 20*time.Second, limit
	begun := time.Now()
	results, err := Push(context.Background(), opts, repeat(h.target(), hosts), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	least := time.Duration(float64(size*hosts-limitBurst) / limit * float64(time.Second))
	if took := time.Since(begun); took < least || took > least+5*time.Second {
		t.Errorf("%d bytes took %s, want at least %s", size*hosts, took, least)
	}
	if got, _ := (Options{Agents: opts.Agents, UploadLimit: 1000}).complete(300); got.HostTimeout < 100*200*time.Second {
		t.Errorf("the time for one host is %s, in which 100 cannot get their bytes", got.HostTimeout)
	}
}

func TestAnAgentIsSentPackedWhereItCanBeUnpacked(t *testing.T) {
	for name, c := range map[string]struct {
		packing bool
		setup   string
		limit   int64
	}{
		"with gzip":                      {packing: true},
		"with gzip and under a limit":    {packing: true, limit: 100_000_000},
		"as it is where nothing unpacks": {setup: hide("gzip", "zstd")},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSSHDWith(t, c.setup)
			opts := s.options(shellAgent("true", 0))
			padded := shellAgent("true\nexit 0\n"+strings.Repeat("# padding that packs well\n", 100_000), 0)
			for arch := range opts.Agents {
				opts.Agents[arch] = padded
			}
			opts.UploadLimit = c.limit
			var total int64
			results, err := Push(context.Background(), opts, []Target{s.target()}, func(e Event) { total = max(total, e.Total) })
			if err != nil || results[0].Err != nil {
				t.Fatal(err, results[0].Err)
			}
			if packed := total < padded.Size/2; packed != c.packing {
				t.Errorf("%d bytes were sent of an agent of %d", total, padded.Size)
			}
		})
	}
}

// Hosts whose file systems are not as one would like them, with real mounts.
func TestHostsThatLackSomething(t *testing.T) {
	disk := func(options string, dirs ...string) string {
		var b strings.Builder
		for _, d := range dirs {
			fmt.Fprintf(&b, "mount -t tmpfs -o %s tmpfs %s\n", options, d)
		}
		return b.String()
	}
	// The host's home is below the machine's /tmp, so that can only be made worse, not another one.
	tmp := func(option string) string {
		return fmt.Sprintf("mount --bind %[1]s %[1]s\nmount -o remount,bind,%[2]s %[1]s\n", os.TempDir(), option)
	}
	for name, c := range map[string]struct {
		setup   string
		lies    bool // df says that there is room
		size    int
		class   Class
		message string
		remedy  string
	}{
		"no curl, no wget, no python3":        {setup: hide("curl", "wget", "python3", "python3.11", "perl")},
		"noexec /tmp":                         {setup: tmp("noexec") + disk("size=64k,mode=1777", "/var/tmp")},
		"noexec /var/tmp":                     {setup: disk("noexec,size=64m,mode=1777", "/var/tmp")},
		"a full /var/tmp":                     {setup: disk("size=8k,mode=1777", "/var/tmp")},
		"a read-only /usr":                    {setup: "mount --bind /usr /usr\nmount -o remount,ro,bind /usr\n"},
		"/var on another disk":                {setup: disk("size=64m,mode=755", "/var") + "mkdir -m 1777 /var/tmp\n"},
		"nowhere to run a program":            {setup: tmp("noexec") + disk("noexec,size=64m,mode=1777", "/var/tmp", "/dev/shm"), class: NoDirectory, message: "runs no programs (noexec)", remedy: "noexec"},
		"every disk too small":                {setup: tmp("ro") + disk("size=64k,mode=1777", "/var/tmp", "/dev/shm"), size: 3 << 20, class: NoSpace, message: "KiB free", remedy: "Free some space"},
		"a disk that fills during the upload": {setup: disk("size=6m,mode=1777", "/var/tmp"), lies: true, size: 9 << 20, class: NoSpace, message: "became full"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSSHDWith(t, c.setup)
			if c.lies {
				s.program("df", "echo Filesystem; echo /dev/x 100 0 99999999 1% /\n")
			}
			r := s.push(s.options(shellAgent("echo launched", max(c.size, 100_000))))
			eventually(t, "the host's directory is removed", func() bool {
				for _, base := range []string{"/var/tmp", "/tmp", "/dev/shm", s.dir} {
					if found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/root%s/muster-push-*", s.process.Pid, base)); len(found) > 0 {
						return false
					}
				}
				return true
			})
			if c.class != "" {
				wantFailure(t, r.Err, c.class, c.remedy, c.message)
			} else if r.Err != nil {
				t.Fatalf("%s\n%s", r.Err, r.Err.Remedy)
			}
		})
	}
}

// Two operators push to one host at the same moment: both are served, neither meets the other's files.
func TestTwoPushesAtOnce(t *testing.T) {
	before := leftovers(t)
	s := startSSHD(t)
	record := t.TempDir()
	launch := `d=$(dirname "$0"); cmp -s "$2" "$d/seed" && mkdir ` + record + `/$(basename "$d")`
	results, err := Push(context.Background(), s.options(shellAgent(launch, 2_000_000)), repeat(s.target(), 4), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if made, _ := os.ReadDir(record); len(made) != 4 {
		t.Errorf("%d agents were launched from directories of their own, want 4", len(made))
	}
	nothingLeft(t, before)
}

// A host that has this very agent already gets the seed alone.
func TestAnAgentThatIsThereIsNotSentAgain(t *testing.T) {
	agent := shellAgent(`echo "$0" >"$(cat /run/muster-record)"`, 3_000_000)
	content := make([]byte, agent.Size)
	if _, err := agent.Content.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, there := range map[string][]byte{"the same": content, "another": []byte("#!/bin/sh\nexit 1\n")} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, there, 0o700); err != nil {
				t.Fatal(err)
			}
			record := filepath.Join(dir, "record-"+name)
			s := startSSHDWith(t, fmt.Sprintf("mount -t tmpfs -o mode=755 tmpfs /var/lib\nmkdir -m 700 /var/lib/bootstrap-agent\ncp '%s' %s\nmount -t tmpfs tmpfs /run\nmkdir /run/sshd\necho '%s' >/run/muster-record\n", file, installed, record))
			var total int64
			results, err := Push(context.Background(), s.options(agent), []Target{s.target()}, func(e Event) { total = max(total, e.Total) })
			if err != nil || results[0].Err != nil {
				t.Fatal(err, results[0].Err)
			}
			sent, launched := total > agent.Size, strings.TrimSpace(read(t, record))
			if sent != (name == "another") || (launched == installed) == sent {
				t.Errorf("%d bytes were sent of an agent of %d, and %s was launched", total, agent.Size, launched)
			}
		})
	}
}
