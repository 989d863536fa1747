package agent

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/coordinator"
	"muster/internal/hosts"
	authority "muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/proof"
	"muster/internal/rpc"
	"muster/internal/store"
	"muster/internal/web"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// generate makes a generation of the test bundle for a coordinator at these ports of the loopback interface. More is put
// at the end of cluster.yaml.
func generate(t testing.TB, httpPort, grpcPort int, more string) (dir string) {
	t.Helper()
	work := t.TempDir()
	must(t, os.CopyFS(filepath.Join(work, "demo"), os.DirFS("testdata/demo")))
	must(t, os.Chmod(filepath.Join(work, "demo/packages/tool/bin/tool"), 0o755))
	write(t, filepath.Join(work, "cluster.yaml"), fmt.Sprintf(
		"cluster: demo\nbundle: demo\ncoordinator: {addresses: [127.0.0.1], http_port: %d, grpc_port: %d}\nroles:\n  master: {count: 1}\n%s", httpPort, grpcPort, more))
	c, problems := config.LoadCluster(filepath.Join(work, "cluster.yaml"))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	agent := filepath.Join(work, "bootstrap-agent")
	write(t, agent, "a bootstrap agent")
	_, err := artifacts.Generate(context.Background(), c, artifacts.Options{
		Agents: map[manifest.Arch]string{"amd64": agent, "arm64": agent}, Out: filepath.Join(work, "genconf"),
	})
	must(t, err)
	return filepath.Join(work, "genconf")
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func serveBlobs(t testing.TB, l net.Listener, dir string) {
	t.Helper()
	server := web.NewServer(web.Artifacts(dir))
	go func() { _ = web.Serve(server, l) }()
	t.Cleanup(func() { _ = server.Close() })
}

// site is a real coordinator with a real generation, whose hosts have this machine's address.
type site struct {
	testing.TB
	state, grpcAddress string
	generation         *manifest.Generation
	manifests          map[manifest.Role]*manifest.Manifest

	// ahead is the coordinator's clock minus this machine's.
	ahead time.Duration

	core   *coordinator.Service
	ca     *authority.CA
	store  store.Store
	server *grpc.Server
}

func newSite(t testing.TB, more ...string) *site {
	t.Helper()
	needRoot(t)
	address, _ := ownIP(t)
	blobs, door := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	dir := generate(t, port(blobs), port(door), "address: {cidr: "+netip.PrefixFrom(address, 32).String()+"}\n"+strings.Join(more, ""))
	s := &site{TB: t, state: t.TempDir(), grpcAddress: door.Addr().String()}
	var err error
	s.generation, s.manifests, err = artifacts.Load(dir)
	must(t, err)
	serveBlobs(t, blobs, dir)
	s.up(door)
	t.Cleanup(s.down)
	return s
}

// restart is another process on the same state, with a clock that is ahead by so much.
func (s *site) restart(ahead time.Duration) {
	s.Helper()
	s.down()
	s.ahead = ahead
	s.up(nil)
}

// up starts the coordinator on what its state directory holds.
func (s *site) up(door net.Listener) {
	s.Helper()
	var err error
	if door == nil {
		await(s, "the address is free again", func() bool { door, err = net.Listen("tcp", s.grpcAddress); return err == nil })
	}
	ahead := s.ahead
	s.store, err = store.OpenBolt(filepath.Join(s.state, "store.db"))
	must(s, err)
	s.ca, err = authority.Open(filepath.Join(s.state, "ca"), s.generation.Cluster, time.Now())
	must(s, err)
	s.core, err = coordinator.New(context.Background(), coordinator.Options{
		Store: s.store, CA: s.ca, Generation: s.generation, Manifests: s.manifests,
		Clock: func() time.Time { return time.Now().Add(ahead) }, RenewWithin: 50 * time.Millisecond,
	})
	must(s, err)
	certificates, err := s.ca.ServerCertificates(s.generation.Coordinator.Addresses, time.Now)
	must(s, err)
	s.server, err = rpc.NewHostServer(s.core, s.ca.ServerTLS(certificates))
	must(s, err)
	go func(server *grpc.Server) { _ = server.Serve(door) }(s.server)
}

// down is the coordinator killed: no call is answered to its end.
func (s *site) down() {
	s.server.Stop()
	_ = s.store.Close()
}

// seed is one for a host that joins with a token for the role.
func (s *site) seed(role manifest.Role) []byte {
	s.Helper()
	made, _, err := s.core.CreateSeed(context.Background(), coordinator.Actor{Name: "uid 0"}, authority.TokenSpec{Role: role, MaxUses: 1})
	must(s, err)
	text, err := made.Encode()
	must(s, err)
	return text
}

// master fills the roster with a host that is not there.
func (s *site) master() { s.joins("m1", "198.51.100.7") }

// joins is a host that has a token for the role master, and no bootstrap agent.
func (s *site) joins(name, address string) coordinator.Caller {
	s.Helper()
	token, _, err := s.core.CreateToken(context.Background(), coordinator.Actor{Name: "uid 0"}, authority.TokenSpec{Role: "master", MaxUses: 1})
	must(s, err)
	key, err := proof.NewKey()
	must(s, err)
	der, err := proof.CSR(key)
	must(s, err)
	csr, err := authority.CheckCSR(der)
	must(s, err)
	c, err := s.core.Enroll(context.Background(), coordinator.Applicant{
		CSR: csr, Token: token.Reveal(), From: netip.MustParseAddr(address), Name: name, Address: address,
	})
	must(s, err)
	leaf, err := x509.ParseCertificate(c.Chain[0])
	must(s, err)
	return coordinator.Caller{Host: c.Host, Serial: authority.Serial(leaf)}
}

// host is a private root with the seed of a site in it.
type host struct {
	*site
	layout Layout
	log    *notes
}

// notes is a log that may be read while it is written.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

func (n *notes) logger() *slog.Logger { return slog.New(slog.NewTextHandler(n, nil)) }

func (s *site) host(role manifest.Role) *host {
	s.Helper()
	h := &host{site: s, layout: newRoot(s), log: &notes{}}
	must(s, os.MkdirAll(h.layout.State(), 0o700))
	must(s, os.WriteFile(h.layout.seed(), s.seed(role), 0o600))
	return h
}

func (h *host) engine() *Engine {
	h.Helper()
	e, err := NewEngine(h.layout, h.log.logger())
	must(h, err)
	return e
}

// begin runs an agent; stop ends it and waits.
func (h *host) begin() (stop func(), ended <-chan error) {
	h.Helper()
	return h.runs(h.engine())
}

func (h *host) runs(e *Engine) (stop func(), ended <-chan error) {
	h.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		result <- e.Run(ctx)
	}()
	stop = func() { cancel(); <-gone }
	h.Cleanup(stop)
	return stop, result
}

// finish runs an agent until it has removed itself.
func (h *host) finish() {
	h.Helper()
	_, ended := h.begin()
	h.wantEnd(ended)
}

func (h *host) wantEnd(ended <-chan error) {
	h.Helper()
	select {
	case err := <-ended:
		if err != nil {
			h.Fatalf("%v; the agent's log:\n%s", err, h.log)
		}
	case <-time.After(patience):
		h.Fatalf("the agent is at work for too long: %v; its log:\n%s", h.described(), h.log)
	}
}

// described is what the coordinator knows of the host, nil before it has joined.
func (h *host) described() *operatorv1.Host {
	address, _ := ownIP(h)
	d, err := h.core.Describe(address.String())
	if err != nil {
		return nil
	}
	return d
}

func (h *host) awaitPhase(p syncv1.Phase) {
	h.Helper()
	await(h, "the coordinator hears of "+p.String()+"; the agent says:\n"+h.log.String(), func() bool {
		d := h.described()
		return d != nil && d.Phase == p
	})
}

// reports are those that the coordinator keeps. It wants each of them once, in order and without a gap.
func (h *host) reports() []*syncv1.Report {
	h.Helper()
	reports, err := h.core.Reports(context.Background(), hosts.ID(h.described().Id))
	must(h, err)
	for n, r := range reports {
		if r.Sequence != uint64(n+1) {
			h.Errorf("report %d has the number %d", n+1, r.Sequence)
		}
	}
	return reports
}

// steps are the reported ones, a failed one with its message.
func (h *host) steps() []string {
	h.Helper()
	var steps []string
	for _, r := range h.reports() {
		if s := r.GetStep(); s != nil {
			said := fmt.Sprintf("%d %s", r.Attempt, s.Name)
			if !s.Ok {
				said += " failed"
			}
			steps = append(steps, said)
		}
	}
	return steps
}

// child runs the agent as a process of its own. It is killed after so many writes of its journal, never if 0, and
// answers what it printed.
func (h *host) child(killAfter int) (out string, killed bool) {
	h.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), rootVariable+"="+h.layout.Root, fmt.Sprintf("%s=%d", killVariable, killAfter))
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, h.log
	must(h, cmd.Start())
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		h.Fatalf("the agent is at work for too long; its log:\n%s", h.log)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return "", true
	}
	if err != nil {
		h.Fatalf("%v; the agent's log:\n%s", err, h.log)
	}
	return strings.TrimSpace(stdout.String()), false
}

// installed wants the host to have the demo cluster and nothing of the bootstrap agent.
func (h *host) installed(conf string) {
	h.Helper()
	if got := read(h, filepath.Join(h.layout.current("demo"), conf)); strings.Contains(got, "{{") || got == "" {
		h.Errorf("%s is %q", conf, got)
	}
	for _, path := range []string{h.layout.State(), h.layout.unit(), h.layout.wanted()} {
		if exists(path) {
			h.Errorf("%s is left behind", path)
		}
	}
}
