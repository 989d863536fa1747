package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/manifest"
	"muster/internal/rpc"
	"muster/internal/web"
)

// realSite is a coordinator with both doors open and nothing to install. It answers the state directory and where the
// network's door is.
func realSite(t *testing.T) (state, address string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	state = t.TempDir()
	kept, err := openState(state)
	must(err)
	agent := []byte("a bootstrap agent")
	sum := sha256.Sum256(agent)
	blob := manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(sum[:])), Size: int64(len(agent))}
	path := filepath.Join(state, "artifacts", manifest.BlobPath(blob.Digest))
	must(os.MkdirAll(filepath.Dir(path), 0o700))
	must(os.WriteFile(path, agent, 0o600))
	files := httptest.NewServer(web.Artifacts(filepath.Join(state, "artifacts")))
	t.Cleanup(files.Close)
	core, ca, err := openCore(context.Background(), state, coordinator.Options{Store: kept,
		Generation: &manifest.Generation{
			Format: manifest.Format, Cluster: "demo", ConfigID: manifest.ConfigID(strings.Repeat("c", 64)),
			Coordinator: manifest.Coordinator{Addresses: []string{"127.0.0.1"}, HTTPPort: files.Listener.Addr().(*net.TCPAddr).Port, GRPCPort: listener.Addr().(*net.TCPAddr).Port},
			Roles:       []manifest.RoleEntry{{Name: "agent", Manifest: blob}},
			Agents:      map[manifest.Arch]manifest.Blob{"amd64": blob},
			Hosts:       []manifest.Listed{{Address: "10.0.0.7", Role: "agent"}},
			SSH:         manifest.SSH{User: "admin", Port: 2222},
		},
		Manifests: map[manifest.Role]*manifest.Manifest{"agent": {}},
	})
	must(err)
	certificates, err := ca.ServerCertificates([]string{"127.0.0.1"}, time.Now)
	must(err)
	network, err := rpc.NewHostServer(core, ca.ServerTLS(certificates))
	must(err)
	local, err := rpc.NewOperatorServer(core)
	must(err)
	socket, err := rpc.ListenOperator(filepath.Join(state, socketName))
	must(err)
	go func() { _ = network.Serve(listener) }()
	go func() { _ = local.Serve(socket) }()
	t.Cleanup(func() {
		network.Stop()
		local.Stop()
		_ = kept.Close()
	})
	return state, listener.Addr().String()
}

// give makes a credential on the coordinator's machine.
func give(t *testing.T, state, name, level string, more ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name+".pem")
	mustRun(t, state, append([]string{"operator", "create", name, "--level", level, "--out", file}, more...)...)
	return file
}

// says runs the program and wants it to fail with these words in the error, and these in the remedy.
func says(t *testing.T, code int, words, remedy string, args ...string) {
	t.Helper()
	var told strings.Builder
	_, _, err := run(t.Context(), t, filepath.Join(t.TempDir(), "none"), "", args...)
	if got := exitCode(&told, err); got != code || !strings.Contains(told.String(), words) || !strings.Contains(told.String(), remedy) {
		t.Errorf("coordinator %s exits with %d:\n%swant %d, %q and %q", strings.Join(args, " "), got, told.String(), code, words, remedy)
	}
	if strings.Count(told.String(), "\n") > 2 || strings.Contains(told.String(), "rpc error") {
		t.Errorf("that is not for people: %s", told.String())
	}
}

func TestAnOperatorWorksFromAnotherMachine(t *testing.T) {
	state, address := realSite(t)
	viewer, operator := give(t, state, "vera", "viewer"), give(t, state, "otto", "operator")
	if info, err := os.Stat(viewer); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	far := filepath.Join(t.TempDir(), "none")
	// The credential alone says where the coordinator is.
	mustRun(t, far, "status", "--credential", viewer)
	mustRun(t, far, "status", "--credential", viewer, "--coordinator", address)
	if out, _ := mustRun(t, far, "token", "create", "--role", "agent", "--credential", operator); !strings.HasPrefix(out, "mt1.") {
		t.Errorf("%s", out)
	}
	if out, _ := mustRun(t, far, "events", "--kind", "token-created", "--who", "otto", "--since", "1m", "--credential", viewer); !strings.Contains(out, "by operator otto (operator)  from 127.0.0.1") {
		t.Errorf("%s", out)
	}
	says(t, exitFailed, "this call needs level operator, and the caller is operator vera (viewer)", "ask an admin", "token", "create", "--credential", viewer)
	says(t, exitFailed, "this call needs level admin", "ask an admin", "operator", "list", "--credential", operator)
	says(t, exitFailed, "no host has joined as instance", "", "hosts", "readmit", "123456789012/i-0123456789abcdef0", "--credential", operator)
	if out, _ := mustRun(t, state, "operator", "list"); !strings.Contains(out, "vera") || !strings.Contains(out, "for 29d23h") {
		t.Errorf("%s", out)
	}
	mustRun(t, state, "operator", "revoke", "vera")
	says(t, exitFailed, "the operator vera was revoked", "ask an admin", "status", "--credential", viewer)
	if out, _ := mustRun(t, state, "operator", "list", "-o", "json"); !strings.Contains(out, `"revoked"`) {
		t.Errorf("%s", out)
	}
	// An admin elsewhere makes others.
	admin := give(t, state, "ada", "admin")
	file := filepath.Join(t.TempDir(), "eve.pem")
	mustRun(t, far, "operator", "create", "eve", "--level", "viewer", "--out", file, "--credential", admin)
	mustRun(t, far, "status", "--credential", file)
}

func TestTheEnvironmentAndTheUsualPlaceSayWhereToCall(t *testing.T) {
	state, address := realSite(t)
	viewer := give(t, state, "vera", "viewer")
	far := filepath.Join(t.TempDir(), "none")
	t.Setenv("MUSTER_COORDINATOR", address)
	t.Setenv("MUSTER_CREDENTIAL", viewer)
	mustRun(t, far, "status")
	t.Setenv("MUSTER_COORDINATOR", "")
	t.Setenv("MUSTER_CREDENTIAL", "")
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	says(t, exitFailed, "there is no credential in "+filepath.Join(config, "muster", "credential.pem"), "--credential", "status", "--coordinator", address)
	text, err := os.ReadFile(viewer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(config, "muster"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "muster", "credential.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, far, "status", "--coordinator", address)
}

func TestWhatKeepsAnOperatorOutIsSaid(t *testing.T) {
	state, address := realSite(t)
	otherState, otherAddress := realSite(t)
	viewer, foreign := give(t, state, "vera", "viewer"), give(t, otherState, "vera", "viewer")
	_, port, _ := net.SplitHostPort(address)
	says(t, exitFailed, "its certificate is of another CA", "name the coordinator of cluster demo", "status", "--credential", viewer, "--coordinator", otherAddress)
	says(t, exitFailed, "its certificate is of another CA", "", "status", "--credential", foreign, "--coordinator", address)
	says(t, exitFailed, "has no certificate for that name", "use one of "+address, "status", "--credential", viewer, "--coordinator", "localhost:"+port)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	says(t, exitFailed, "cannot be reached", "firewall", "status", "--credential", viewer, "--coordinator", closed.Addr().String())
	says(t, exitInvalid, "is not HOST:PORT", "", "status", "--credential", viewer, "--coordinator", "127.0.0.1")
	says(t, exitInvalid, "leave --coordinator out", "", "genconf", "--coordinator", address)
	says(t, exitInvalid, "leave --credential out", "", "serve", "--credential", viewer)
	says(t, exitFailed, "exists and is not overwritten", "choose another --out", "operator", "create", "x", "--level", "viewer", "--out", viewer, "--credential", viewer)
	short := give(t, state, "sam", "viewer", "--ttl", "1s")
	time.Sleep(1100 * time.Millisecond)
	says(t, exitFailed, "expired at", "ask an admin", "status", "--credential", short)
	if err := os.Chmod(viewer, 0o640); err != nil {
		t.Fatal(err)
	}
	says(t, exitFailed, "a key that others can read", "chmod 600", "status", "--credential", viewer)
}

func TestAPushFromAnotherMachineGetsItsMaterialFromTheCoordinator(t *testing.T) {
	state, _ := realSite(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	root := rootCommand()
	cmd, _, err := root.Find([]string{"push"})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags([]string{"--credential", give(t, state, "otto", "operator")}); err != nil {
		t.Fatal(err)
	}
	client, done, err := connect(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	m, err := materialThere(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	blob := m.generation.Agents["amd64"]
	if text, err := os.ReadFile(m.agentPath(blob)); err != nil || string(text) != "a bootstrap agent" {
		t.Errorf("%q, %v", text, err)
	}
	if g := m.generation; g.SSH.User != "admin" || g.SSH.Port != 2222 || len(g.Hosts) != 1 || g.Hosts[0].Address != "10.0.0.7" || g.Hosts[0].Role != "agent" {
		t.Errorf("%+v", g)
	}
	// What was kept is not trusted, nor is what comes over HTTP.
	for _, path := range []string{m.agentPath(blob), filepath.Join(state, "artifacts", manifest.BlobPath(blob.Digest))} {
		if err := os.WriteFile(path, []byte("another programme"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	brief, cancel := context.WithTimeout(t.Context(), time.Second) // it would try again for longer
	defer cancel()
	if _, err := materialThere(brief, client); err == nil || !strings.Contains(err.Error(), "could not be fetched") {
		t.Errorf("%v", err)
	}
}

func TestNothingIsLeftOfACredentialThatIsNotMade(t *testing.T) {
	state, _ := realSite(t)
	file := filepath.Join(t.TempDir(), "x.pem")
	if _, _, err := run(t.Context(), t, state, "", "operator", "create", "../x", "--level", "viewer", "--out", file); err == nil {
		t.Error("it was made")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file is left")
	}
	refused(t, state, "--level viewer|operator|admin", "operator", "create", "x")
}

func TestAnotherVersionIsSaid(t *testing.T) {
	state := serveFake(t, fiveHosts())
	_, _, err := run(t.Context(), t, state, "", "operator", "list")
	var told strings.Builder
	if exitCode(&told, err) != exitFailed || !strings.Contains(told.String(), "it is of another version than this program") {
		t.Errorf("%s", told.String())
	}
}

func TestEveryCommandThatTalksExists(t *testing.T) {
	root := rootCommand()
	for name := range talking {
		if cmd, rest, err := root.Find(strings.Fields(name)); err != nil || len(rest) > 0 || commandName(cmd) != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheAuthorisationTableIsShown(t *testing.T) {
	out, _ := mustRun(t, t.TempDir(), "authz")
	if lines := strings.Count(out, "\n"); lines != len(rpc.Table)+1 {
		t.Errorf("%d lines for %d methods", lines, len(rpc.Table))
	}
	for _, line := range []string{"EnrolmentService  Enroll", "OperatorService   ExportSecrets", "OperatorService   WatchHosts"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if out, _ := mustRun(t, t.TempDir(), "authz", "-o", "json"); !strings.Contains(out, `"method":"SetSecret"`) {
		t.Errorf("%s", out)
	}
}
