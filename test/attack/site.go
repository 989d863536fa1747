package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/manifest"
	operatorv1 "muster/proto/muster/operator/v1"
)

// site is one run's coordinator.
type site struct {
	dir, roots      string
	door, artifacts string // addresses
	blob            string // the path of the largest
	program         string
	serving         *exec.Cmd
	ended           chan struct{}
}

// packageSize is that of what each host installs. It does not compress.
const packageSize = 4 << 20

const bundle = `bundle: 1
name: app
version: "1"
roles: {worker: {}}
packages:
  tool: {roles: [worker], sources: {amd64: tool, arm64: tool}}
units:
  app: {roles: [worker], template: unit}
files:
  etc/app.conf: {template: conf}
`

// prepareNetwork gives this network namespace, which is to be one of its own, an address for each host.
func prepareNetwork(hosts int) error {
	commands := "link set lo up\nlink add attack0 type bridge\nlink set attack0 up\n"
	for i := range hosts {
		commands += "address add " + hostAddress(i) + "/32 dev attack0\n"
	}
	ip := exec.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(commands)
	if out, err := ip.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s (run it in a network namespace of its own, as scripts/attack does)", err, out)
	}
	return nil
}

func hostAddress(i int) string { return fmt.Sprintf("10.90.%d.%d", i/250, 1+i%250) }

func newSite(o options) (s *site, err error) {
	s = &site{ended: make(chan struct{})}
	if s.program, err = filepath.Abs(o.Coordinator); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "muster-attack-"); err != nil {
		return nil, err
	}
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	if s.roots, err = os.MkdirTemp(memory, "muster-attack-"); err != nil {
		return nil, err
	}
	door, artifacts := freePort(), freePort()
	s.door, s.artifacts = fmt.Sprintf("127.0.0.1:%d", door), fmt.Sprintf("127.0.0.1:%d", artifacts)
	load := make([]byte, packageSize)
	if _, err := rand.Read(load); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"b/bundle.yaml": bundle, "b/tool/bin/tool": "#!/bin/sh\nexit 0\n", "b/tool/share/load": string(load),
		"b/unit": "[Service]\nExecStart=/bin/true\n", "b/conf": "name={{ .Host.Name }} address={{ .Host.Address }}\n",
		"cluster.yaml": fmt.Sprintf("cluster: demo\nbundle: b\ncoordinator: {addresses: [127.0.0.1], http_port: %d, grpc_port: %d}\n", artifacts, door),
	} {
		mode := os.FileMode(0o644)
		if strings.Contains(name, "/bin/") {
			mode = 0o755
		}
		if err := write(filepath.Join(s.dir, name), text, mode); err != nil {
			return nil, err
		}
	}
	if err := s.writeAgents(); err != nil {
		return nil, err
	}
	if _, err := s.run("genconf", "--agents", "agents"); err != nil {
		return nil, err
	}
	return s, s.findBlob()
}

// writeAgents makes what genconf takes for bootstrap agents; those that run here are engines in a process.
func (s *site) writeAgents() error {
	for arch, machine := range map[manifest.Arch]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		header := elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
		}
		var text bytes.Buffer
		if err := binary.Write(&text, binary.LittleEndian, header); err != nil {
			return err
		}
		if err := write(filepath.Join(s.dir, "agents/bootstrap-agent-linux-"+string(arch)), text.String(), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) findBlob() error {
	var largest int64
	return filepath.WalkDir(filepath.Join(s.dir, "genconf/blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > largest {
			largest = info.Size()
			s.blob = "/blobs/" + filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		}
		return err
	})
}

func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0 // genconf says that it is none
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *site) run(args ...string) (string, error) {
	cmd := exec.Command(s.program, args...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("coordinator %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (s *site) serve(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.dir, "serve.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.serving = exec.Command(s.program, "serve")
	s.serving.Dir, s.serving.Stdout, s.serving.Stderr = s.dir, log, log
	if err := s.serving.Start(); err != nil {
		return err
	}
	go func() { _ = s.serving.Wait(); close(s.ended) }()
	for range 300 {
		if _, err := os.Stat(filepath.Join(s.dir, "state/operator.sock")); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the coordinator ended: %s", text)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("the coordinator does not serve")
}

func (s *site) stop() {
	_ = s.serving.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.serving.Process.Kill()
		<-s.ended
	}
}

func (s *site) remove(keep bool) error {
	if keep {
		fmt.Fprintf(os.Stderr, "kept: %s %s\n", s.dir, s.roots)
		return nil
	}
	return errors.Join(os.RemoveAll(s.dir), os.RemoveAll(s.roots))
}

// seed makes a seed that lets in so many hosts, and gives its path.
func (s *site) seed(ctx context.Context, hosts int) (string, error) {
	socket := filepath.Join(s.dir, "state/operator.sock")
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	made, err := operatorv1.NewOperatorServiceClient(conn).CreateSeed(ctx, &operatorv1.CreateSeedRequest{
		Token: &operatorv1.CreateTokenRequest{Role: "worker", Uses: int32(hosts), Ttl: durationpb.New(time.Hour)},
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.dir, "seed")
	return path, write(path, string(made.Seed), 0o600)
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peak is the most memory that the coordinator has ever had resident (proc(5), VmHWM).
func (s *site) peak() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.serving.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the coordinator is gone: %w", err)
	}
	match := peakLine.FindSubmatch(text)
	if match == nil {
		return 0, errors.New("no VmHWM")
	}
	kib, err := strconv.ParseInt(string(match[1]), 10, 64)
	return kib << 10, err
}

// computed is the processor time that the coordinator has had (proc(5), stat, in ticks of 10 ms).
func (s *site) computed() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.serving.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is not as it should be")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// refusals counts the events of what was refused. Those of one kind from one address are one event.
func (s *site) refusals() (int, error) {
	out, err := s.run("events", "-n", "10000", "-o", "json")
	return strings.Count(out, `-denied"`) + strings.Count(out, `"limit-reached"`), err
}
