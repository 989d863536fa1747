package canary

import (
	"bytes"
	"context"
	"crypto/rand"
	"debug/elf"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	operatorv1 "muster/proto/muster/operator/v1"
)

// secretNames are all secrets of the bundle, each alone in the file etc/NAME.
var secretNames = []string{"line", "text", "pem", "binary", "b64", "hex", "alnum", "password", "own"}

const bundle = `bundle: 1
name: app
version: "1"
roles: {master: {counts: [1]}, agent: {}}
parameters:
  properties:
    port: {type: integer, default: 80}
    pin: {type: string, writeOnly: true, maxLength: 200}
    nested: {type: object, properties: {pins: {type: array, items: {type: string, writeOnly: true}}}}
rules: [{assert: lt (len .Param.pin) 100, message: The pin is too long, remedy: Take a shorter one., keys: [pin]}]
secrets:
  line: {roles: [master], given: true, summary: A line}
  text: {roles: [master], given: true, format: text}
  pem: {roles: [master], given: true, format: pem}
  binary: {roles: [master], given: true, format: binary}
  b64: {roles: [master], generate: true}
  hex: {roles: [master], generate: {format: hex}}
  alnum: {roles: [master], generate: {format: alphanumeric}}
  password: {roles: [master], generate: {bytes: 16, format: password}}
  own: {roles: [master], generate: {}, per: host}
units:
  app: {roles: [master], template: unit}
checks:
  telltale:
    stage: postflight
    roles: [master]
    script: telltale.sh
    severity: warning
    remedy: None; it tells all that it knows.
files:
  etc/public: {template: public}
  etc/every: {roles: [master], template: every}
`

// A check that does what publishers do by mistake.
const telltale = `#!/bin/sh
password={{ .Secret.line | shell }}
echo "cannot log in as admin:$password"
printf 'admin:%s' "$password" | base64
echo {{ .Secret.line | url }} {{ .Secret.hex | json }}
i=0; while [ $i -lt 300 ]; do echo "filler $i and then $password"; i=$((i+1)); done
exit 1
`

const every = `json {{ .Secret.line | json }} url {{ .Secret.line | url }} base64 {{ .Secret.binary | base64 }}
`

type site struct {
	testing.TB
	dir, address string
	given        map[string]string
	// pin is the value of a writeOnly parameter.
	pin         string
	coordinator *process
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{TB: t, dir: t.TempDir()}
	s.given = map[string]string{
		"line":   "Canary/1 \"of\" " + word(t),
		"text":   "first " + word(t) + "\nsecond " + word(t) + "\n",
		"pem":    "-----BEGIN PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString([]byte(word(t)+word(t))) + "\n-----END PRIVATE KEY-----\n",
		"binary": "\x00\xff\xfe" + word(t) + "\n",
	}
	for name, text := range map[string]string{"bundle.yaml": bundle, "telltale.sh": telltale, "every": every, "public": "{{ .Host.Name }}\n",
		"unit": "[Service]\nEnvironmentFile={{ .Cluster.Root }}/current/etc/host.env\nExecStart=/bin/true\n"} {
		s.write("b/"+name, text, 0o644)
	}
	files := ""
	for _, name := range secretNames {
		s.write("b/secret-"+name, "{{ .Secret."+name+" | raw }}", 0o644)
		files += fmt.Sprintf("  etc/%s: {roles: [master], template: secret-%s}\n", name, name)
	}
	s.write("b/bundle.yaml", bundle+files, 0o644)
	s.address, s.pin = ownAddress(t), "Pin-"+word(t)
	s.write("cluster.yaml", fmt.Sprintf(`cluster: demo
bundle: b
coordinator: {addresses: [127.0.0.1], http_port: %[1]d, grpc_port: %[2]d}
address: {cidr: %[3]s/32}
hosts: [{role: master, address: %[3]s}]
secrets:
  line: {set: true}
  text: {set: true}
  pem: {env: CANARY_PEM}
  binary: {file: sources/binary}
parameters:
  port: 81
  pin: %[4]s
  nested: {pins: [%[4]s]}
`, freePort(t), freePort(t), s.address, s.pin), 0o644)
	if text, err := exec.Command("go", "build", "-o", s.path("coordinator"), "muster/cmd/coordinator").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	// genconf looks at the kind of the agents' binaries only; the one that runs here is the test program.
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		header := elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
		}
		var text bytes.Buffer
		if err := binary.Write(&text, binary.LittleEndian, header); err != nil {
			t.Fatal(err)
		}
		s.write("agents/bootstrap-agent-linux-"+arch, text.String(), 0o755)
	}
	return s
}

func word(t testing.TB) string {
	t.Helper()
	return rand.Text()
}

func ownAddress(t testing.TB) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but the loopback's")
	return ""
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string, mode os.FileMode) {
	s.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		s.Fatal(err)
	}
}

// run runs the coordinator's program and gives its output.
func (s *site) run(stdin string, args ...string) string {
	s.Helper()
	return s.runWith(nil, stdin, args...)
}

func (s *site) runWith(env []string, stdin string, args ...string) string {
	s.Helper()
	cmd := exec.Command(s.path("coordinator"), args...)
	cmd.Dir, cmd.Stdin, cmd.Env = s.dir, strings.NewReader(stdin), append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.Fatalf("coordinator %q: %v\n%s", args, err, stderr.String())
	}
	seen[fmt.Sprintf("errors of %q", args)] = stderr.String()
	return stdout.String()
}

// refused runs what is to end as wrong input, and gives all that it says.
func (s *site) refused(args ...string) string {
	s.Helper()
	cmd := exec.Command(s.path("coordinator"), args...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		s.Errorf("coordinator %q: %v, want exit code 2\n%s", args, err, out)
	}
	return string(out)
}

// process is a program that runs, with what it prints in a file.
type process struct {
	cmd  *exec.Cmd
	root string
	out  string
	done chan struct{}
}

func (s *site) start(name string, env []string, program string, args ...string) *process {
	s.Helper()
	out, err := os.Create(s.path(name + ".log"))
	if err != nil {
		s.Fatal(err)
	}
	defer out.Close()
	p := &process{cmd: exec.Command(program, args...), out: out.Name(), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.dir, append(os.Environ(), env...), out, out
	if err := p.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	s.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) log() string {
	text, _ := os.ReadFile(p.out)
	return string(text)
}

func (s *site) serve() {
	s.Helper()
	s.coordinator = s.start("serve", nil, s.path("coordinator"), "serve")
	s.await("the coordinator serves", func() bool {
		_, err := os.Stat(s.path("state/operator.sock"))
		if s.coordinator.ended() {
			s.Fatal(s.coordinator.log())
		}
		return err == nil
	})
}

// join starts a bootstrap agent in a private root that joins with a token for the role.
func (s *site) join(role string) *process {
	s.Helper()
	conn, err := grpc.NewClient("unix:"+s.path("state/operator.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	made, err := operatorv1.NewOperatorServiceClient(conn).CreateSeed(context.Background(), &operatorv1.CreateSeedRequest{
		Token: &operatorv1.CreateTokenRequest{Role: role, Uses: 1, Ttl: durationpb.New(time.Hour)},
	})
	if err != nil {
		s.Fatal(err)
	}
	root := s.root()
	if err := os.Mkdir(filepath.Join(root, "var/lib/bootstrap-agent"), 0o700); err != nil {
		s.Fatal(err)
	}
	s.write("host/var/lib/bootstrap-agent/seed", string(made.Seed), 0o600)
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	p := s.start("agent", []string{rootVariable + "=" + root}, self)
	p.root = root
	return p
}

// root is a private root with a service manager of its own.
func (s *site) root() string {
	s.Helper()
	root := s.path("host")
	for _, dir := range []string{"opt", "run/systemd/system", "etc/systemd/system/multi-user.target.wants", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		s.Fatal(err)
	}
	systemctl, err := os.ReadFile("../../internal/agent/testdata/systemctl")
	if err != nil {
		s.Fatal(err)
	}
	s.write("host/usr/bin/systemctl", string(systemctl), 0o755)
	s.write("host/usr/bin/journalctl", "#!/bin/sh\necho nothing\n", 0o755)
	return root
}
