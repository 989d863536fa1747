package push

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"muster/internal/manifest"
)

func testRSAKey(t *testing.T) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// encryptedKey returns the content of a private key with the passphrase "open", and the key.
func encryptedKey(t *testing.T) (string, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), private
}

// serveAgent serves keys on a socket.
func serveAgent(t *testing.T, keys ...any) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c) }()
		}
	}()
	return socket
}

func TestLoadAuth(t *testing.T) {
	dir := t.TempDir()
	plain := writeKey(t, filepath.Join(dir, "plain"))
	write(t, plain+".pub", string(ssh.MarshalAuthorizedKey(publicOf(t, plain))), 0o600)
	content, private := encryptedKey(t)
	encrypted := filepath.Join(dir, "encrypted")
	write(t, encrypted, content, 0o600)
	garbage := filepath.Join(dir, "garbage")
	write(t, garbage, "no key", 0o600)
	enter := func(passphrase string) PassphrasePrompt {
		return func(string) ([]byte, error) { return []byte(passphrase), nil }
	}
	never := func(string) ([]byte, error) { t.Error("asked for a passphrase"); return nil, errors.New("no") }
	cases := []struct {
		name   string
		files  []string
		socket string
		ask    PassphrasePrompt
		keys   int
		class  Class
		says   string
		remedy string
	}{
		{name: "an identity file", files: []string{plain}, ask: never, keys: 1},
		{name: "the SSH agent alone", socket: serveAgent(t, private), keys: 1},
		{name: "an encrypted key that the SSH agent holds isn't asked for", files: []string{encrypted}, socket: serveAgent(t, private), ask: never, keys: 1},
		{name: "an encrypted key with its passphrase", files: []string{encrypted}, ask: enter("open"), keys: 1},
		{name: "an identity file and a dead SSH agent", files: []string{plain}, socket: filepath.Join(dir, "none"), keys: 1},
		{name: "a wrong passphrase", files: []string{encrypted}, ask: enter("shut"), class: Invalid, says: "can't be decrypted", remedy: "passphrase"},
		{name: "an encrypted key and nobody to ask", files: []string{encrypted}, class: Invalid, says: "is encrypted", remedy: "ssh-add"},
		{name: "a missing file", files: []string{filepath.Join(dir, "missing")}, class: Invalid, says: "missing", remedy: "--identity"},
		{name: "a file that is no key", files: []string{garbage}, class: Invalid, says: "no private key", remedy: "ed25519"},
		{name: "a public key", files: []string{plain + ".pub"}, class: Invalid, says: "public key", remedy: plain},
		{name: "a dead SSH agent alone", socket: filepath.Join(dir, "none"), class: AuthRefused, says: "SSH agent", remedy: "ssh-add"},
		{name: "an empty SSH agent", socket: serveAgent(t), class: AuthRefused, says: "no key", remedy: "ssh-add"},
		{name: "nothing at all", class: AuthRefused, says: "no key", remedy: "--identity"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ring := NewKeyring(c.ask)
			a, err := ring.Auth(AuthSpec{IdentityFiles: c.files, AgentSocket: c.socket})
			if c.class != "" {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("error is %v", err)
				}
				wantFailure(t, e, c.class, c.remedy, c.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Keys()) != c.keys {
				t.Errorf("keys are %q", a.Keys())
			}
			if err := ring.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoginsThatOpenSSHDecides(t *testing.T) {
	s := startSSHD(t)
	opts := s.options(shellAgent("true", 0))
	raw, err := ssh.ParseRawPrivateKey([]byte(read(t, s.key)))
	if err != nil {
		t.Fatal(err)
	}
	auths := map[string]struct {
		load  func() (*Auth, error)
		class Class
	}{
		"a key of the SSH agent is accepted": {load: func() (*Auth, error) { return NewKeyring(nil).Auth(AuthSpec{AgentSocket: serveAgent(t, raw)}) }},
		"a key that isn't authorised is refused": {class: AuthRefused, load: func() (*Auth, error) {
			return NewKeyring(nil).Auth(AuthSpec{IdentityFiles: []string{writeKey(t, filepath.Join(t.TempDir(), "other"))}})
		}},
	}
	for name, c := range auths {
		t.Run(name, func(t *testing.T) {
			auth, err := c.load()
			if err != nil {
				t.Fatal(err)
			}
			opts.Auth = auth
			r := s.push(opts)
			if c.class != "" {
				wantFailure(t, r.Err, c.class, "authorized_keys", "SHA256:", s.user)
			} else if r.Err != nil {
				t.Fatal(r.Err)
			}
		})
	}
}

func TestNoSeedIsPrinted(t *testing.T) {
	target := Target{Server: Server{Name: "db1"}, Seed: Seed(testSeed)}
	encoded, err := json.Marshal(Event{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(encoded), fmt.Sprint(target), fmt.Sprintf("%+v %#v %x %s", target, target, target.Seed, target.Seed), fmt.Sprintf("%v", &target),
	} {
		if strings.Contains(text, "s3cr3t") || strings.Contains(text, "73336372") || !strings.Contains(text, hiddenSeed) {
			t.Errorf("printed as %s", text)
		}
	}
}

func TestOptionsAndTargetsThatCanNotWork(t *testing.T) {
	h := startFakeHost(t, func(*fakeHost) {})
	good := h.options(binaryOf([]byte("x")))
	for name, spoil := range map[string]func(*Options){
		"no agent": func(o *Options) { o.Agents = nil },
		"a digest with shell in it": func(o *Options) {
			b := o.Agents["amd64"]
			b.Digest = "$(reboot)"
			o.Agents = map[manifest.Arch]Binary{"amd64": b}
		},
		"nowhere to record": func(o *Options) { o.KnownHosts, o.AcceptNewHostKeys = nil, true },
		"a revocation that can't be read": func(o *Options) {
			o.KnownHosts = []string{filepath.Join(t.TempDir(), "known")}
			write(t, o.KnownHosts[0], "@revoked * ssh-future AAAA\n", 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := good
			spoil(&opts)
			_, err := Push(context.Background(), opts, []Target{h.target()}, nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			wantFailure(t, e, Invalid, "")
		})
	}
	for name, spoil := range map[string]func(*Target){
		"no address": func(t *Target) { t.Address = "" }, "no user": func(t *Target) { t.User = "" },
		"no seed": func(t *Target) { t.Seed = nil }, "no port": func(t *Target) { t.Port = 70000 },
	} {
		t.Run(name, func(t *testing.T) {
			target := h.target()
			spoil(&target)
			results, err := Push(context.Background(), good, []Target{target}, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFailure(t, results[0].Err, Invalid, "")
		})
	}
}

func TestUnreachableHosts(t *testing.T) {
	h := startFakeHost(t, func(*fakeHost) {})
	opts := h.options(binaryOf([]byte("x")))
	closed := h.target()
	closed.Port = freePort(t)
	nameless := h.target()
	nameless.Address = "no-such-host.invalid"
	results, err := Push(context.Background(), opts, []Target{closed, nameless}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, results[0].Err, Unreachable, "firewall", "refused")
	wantFailure(t, results[1].Err, Unreachable, "")
}

func TestEveryClassIsExplained(t *testing.T) {
	seen := map[Class]bool{}
	for _, c := range Classes() {
		if seen[c.Class] || c.Meaning == "" || c.Remedy == "" {
			t.Errorf("row %+v is incomplete or double", c)
		}
		seen[c.Class] = true
	}
	source, err := os.ReadFile("remote.sh")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(source)) {
		if _, after, ok := strings.Cut(line, `fail "`); ok {
			class := strings.FieldsFunc(after, func(r rune) bool { return r == ' ' || r == '"' })[0]
			if !seen[Class(class)] {
				t.Errorf("the script knows a class %q that the table doesn't", class)
			}
		}
	}
}

func TestTheCommandSuitsEveryLoginShell(t *testing.T) {
	sources := []string{"http://10.0.0.1:8080", "http://[fd00::1]:8080"}
	size := scriptSize(Seed(testSeed), sources)
	for _, text := range []string{command(size), ttyCommand("sudo -n", "/var/tmp/muster-push-X/bootstrap-agent", "/var/tmp/muster-push-X")} {
		if strings.ContainsAny(text, "\n!\\`") || strings.Count(text, "'") != 2 {
			t.Errorf("needs more than one pair of quotes: %s", text)
		}
	}
	agent := binaryOf(make([]byte, 10))
	for _, d := range []delivery{{agent: agent, packing: "zstd", wireSize: 1 << 40}, {agent: agent, fetcher: "python3"}, {agent: agent, there: true}} {
		if got := len(scriptFor(d, Seed(testSeed), sources, rand.Text(), 1e15)); got != size {
			t.Errorf("the script has %d bytes, announced are %d", got, size)
		}
	}
}
