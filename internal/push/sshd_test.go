package push

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"muster/internal/manifest"
)

// sshServer is a real OpenSSH server that this test started, and what is needed to reach it.
type sshServer struct {
	t       testing.TB
	dir     string
	bin     string // first in the PATH of the sessions
	port    int
	user    string
	hostKey ssh.PublicKey
	key     string // identity file
	log     *lockedBuffer
	process *os.Process
	known   string // known hosts file
}

// startSSHD runs an OpenSSH server on a loopback port with lines added to its configuration.
func startSSHD(t testing.TB, lines ...string) *sshServer {
	t.Helper()
	return startSSHDWith(t, "", lines...)
}

// hide is a setup in which the host has no such programs.
func hide(programs ...string) string {
	var b strings.Builder
	for _, p := range programs {
		fmt.Fprintf(&b, "[ ! -e /usr/bin/%[1]s ] || mount --bind /dev/null /usr/bin/%[1]s\n", p)
	}
	return b.String()
}

// startSSHDWith runs the server with file systems of its own, which the shell script setup changes as root.
func startSSHDWith(t testing.TB, setup string, lines ...string) *sshServer {
	t.Helper()
	if setup != "" && os.Getuid() != 0 {
		t.Skip("SKIPPED: A HOST WITH MOUNTS OF ITS OWN NEEDS root (sudo scripts/test)")
	}
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Skip("SKIPPED: THE SSH PUSH IS NOT TESTED AGAINST OpenSSH: /usr/sbin/sshd is missing; install openssh-server")
	}
	if os.Getuid() == 0 {
		if _, err := os.Stat("/run/sshd"); err != nil {
			if err := os.Mkdir("/run/sshd", 0o755); err != nil {
				t.Skip("SKIPPED: THE SSH PUSH IS NOT TESTED AGAINST OpenSSH: sshd needs /run/sshd:", err)
			}
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshServer{t: t, dir: t.TempDir(), user: me.Username, port: freePort(t)}
	s.bin = filepath.Join(s.dir, "bin")
	if err := os.Mkdir(s.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	s.key = writeKey(t, filepath.Join(s.dir, "id"))
	hostKey := writeKey(t, filepath.Join(s.dir, "host"))
	s.hostKey = publicOf(t, hostKey)
	write(t, filepath.Join(s.dir, "authorized"), string(ssh.MarshalAuthorizedKey(publicOf(t, s.key))), 0o600)
	s.known = filepath.Join(s.dir, "known_hosts")
	write(t, s.known, knownhosts.Line([]string{s.address()}, s.hostKey)+"\n", 0o600)
	config := append([]string{
		fmt.Sprintf("ListenAddress 127.0.0.1:%d", s.port),
		"HostKey " + hostKey,
		"AuthorizedKeysFile " + filepath.Join(s.dir, "authorized"),
		"PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password", "MaxStartups 100",
		// The developer's own shell start-up files have no place here.
		"SetEnv HOME=" + s.dir + " PATH=" + s.bin + ":/usr/bin:/bin",
	}, lines...)
	write(t, filepath.Join(s.dir, "config"), strings.Join(config, "\n")+"\n", 0o600)

	s.log = &lockedBuffer{}
	cmd := exec.Command(sshd, "-f", filepath.Join(s.dir, "config"), "-D", "-e")
	if setup != "" {
		// What is mounted goes with the last process of the namespace.
		cmd = exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "/bin/sh", "-ec", setup + `exec "$@"`, "sh"}, cmd.Args...)...)
	}
	cmd.Stderr = s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	eventually(t, "sshd listens", func() bool {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
	return s
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (s *sshServer) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// program puts a shell script first in the PATH of the host's sessions.
func (s *sshServer) program(name, script string) {
	s.t.Helper()
	write(s.t, filepath.Join(s.bin, name), "#!/bin/sh\n"+script, 0o755)
}

// unprivileged makes the script believe that the login user isn't root, and sudo what the script says.
func (s *sshServer) unprivileged(sudo string) {
	s.t.Helper()
	s.program("id", "echo 1000\n")
	s.program("sudo", sudo)
}

func (s *sshServer) options(agent Binary) Options {
	s.t.Helper()
	auth, err := NewKeyring(nil).Auth(AuthSpec{IdentityFiles: []string{s.key}})
	if err != nil {
		s.t.Fatal(err)
	}
	return Options{
		Agents: map[manifest.Arch]Binary{"amd64": agent, "arm64": agent}, Auth: auth, KnownHosts: []string{s.known},
		ConnectTimeout: 10 * time.Second, HostTimeout: 20 * time.Second,
	}
}

const testSeed = "seed with a join token s3cr3t-t0ken\n"

func (s *sshServer) target() Target {
	return Target{Server: Server{Name: "db1", Address: "127.0.0.1", Port: s.port, User: s.user}, Seed: Seed(testSeed)}
}

// push pushes to this one host.
func (s *sshServer) push(opts Options) Result {
	s.t.Helper()
	results, err := Push(context.Background(), opts, []Target{s.target()}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return results[0]
}

// shellAgent is a bootstrap agent in shell, made as large as a real one if size says so.
func shellAgent(launch string, size int) Binary {
	script := "#!/bin/sh\n[ $1 = version ] && { echo test; exit 0; }\n" + launch + "\nexit 0\n"
	content := append([]byte(script), make([]byte, max(0, size-len(script)))...)
	_, _ = rand.Read(content[len(script):])
	return binaryOf(content)
}

func binaryOf(content []byte) Binary {
	sum := sha256.Sum256(content)
	return Binary{Content: bytes.NewReader(content), Size: int64(len(content)), Digest: manifest.Digest(hex.EncodeToString(sum[:]))}
}

// leftovers lists the directories that pushes left behind.
func leftovers(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, base := range []string{"/var/tmp", "/tmp", "/dev/shm", os.Getenv("HOME")} {
		found, err := filepath.Glob(base + "/muster-push-*")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// nothingLeft fails the test if a directory appeared since before and stays.
func nothingLeft(t testing.TB, before []string) {
	t.Helper()
	eventually(t, "the host's directory is removed", func() bool {
		return !slices.ContainsFunc(leftovers(t), func(d string) bool { return !slices.Contains(before, d) })
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}

func write(t testing.TB, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// writeKey writes a new private key and returns the file's name.
func writeKey(t testing.TB, file string) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(pem.EncodeToMemory(block)), 0o600)
	return file
}

func publicOf(t testing.TB, file string) ssh.PublicKey {
	t.Helper()
	signer, err := ssh.ParsePrivateKey([]byte(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
