package push

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"muster/internal/manifest"
)

// fakeHost is an SSH server in this process, for what OpenSSH would never do.
type fakeHost struct {
	t      *testing.T
	listen net.Listener
	signer ssh.Signer
	// raw takes the connection instead of the SSH server.
	raw func(net.Conn)
	// loginHangs makes the login wait for the end of the test.
	loginHangs bool
	// session serves what follows the exec request; nil means that the request is never answered.
	session func(ssh.Channel)
	// configure changes how the server lets people in; wrap changes its connections. Both may be nil.
	configure func(*ssh.ServerConfig)
	wrap      func(net.Conn) net.Conn
	question  string

	logins   atomic.Int32
	lateRead atomic.Int64 // bytes read after the last write
	over     chan struct{}
}

func startFakeHost(t *testing.T, configure func(*fakeHost)) *fakeHost {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey([]byte(read(t, writeKey(t, filepath.Join(t.TempDir(), "host")))))
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHost{t: t, listen: l, signer: signer, over: make(chan struct{})}
	configure(h)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				h.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		close(h.over)
		_ = l.Close()
		serving.Wait()
	})
	return h
}

func (h *fakeHost) serve(conn net.Conn) {
	if h.raw != nil {
		h.raw(conn)
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		h.logins.Add(1)
		if h.loginHangs {
			<-h.over
		}
		return nil, nil
	}}
	config.AddHostKey(h.signer)
	if h.configure != nil {
		h.configure(config)
	}
	if h.wrap != nil {
		conn = h.wrap(conn)
	}
	_, channels, requests, err := ssh.NewServerConn(&countingConn{Conn: conn, late: &h.lateRead}, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type != "exec" || h.session == nil {
				continue
			}
			_ = r.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			h.session(channel)
			_ = channel.Close()
			break
		}
	}
}

// countingConn counts what arrives after the server wrote for the last time.
type countingConn struct {
	net.Conn
	late *atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.late.Store(0)
	return c.Conn.Write(p)
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.late.Add(int64(n))
	return n, err
}

func (h *fakeHost) target() Target {
	return Target{Server: Server{Address: "127.0.0.1", Port: h.listen.Addr().(*net.TCPAddr).Port, User: "op"}, Seed: Seed(testSeed)}
}

// options knows the host's key.
func (h *fakeHost) options(agent Binary) Options {
	h.t.Helper()
	known := filepath.Join(h.t.TempDir(), "known_hosts")
	write(h.t, known, knownhosts.Line([]string{h.listen.Addr().String()}, h.signer.PublicKey())+"\n", 0o600)
	auth, err := NewKeyring(nil).Auth(AuthSpec{IdentityFiles: []string{writeKey(h.t, filepath.Join(h.t.TempDir(), "id"))}})
	if err != nil {
		h.t.Fatal(err)
	}
	return Options{
		Agents: map[manifest.Arch]Binary{"amd64": agent}, Auth: auth, KnownHosts: []string{known},
		ConnectTimeout: 500 * time.Millisecond, HostTimeout: time.Second,
	}
}

// say writes the script's words.
func say(c io.Writer, words string) { _, _ = io.WriteString(c, replyPrefix+words+"\n") }

const hostLine = "host Linux x86_64 has= unpacks= fetches="

// goodSession does what the script does with an agent of the size.
func goodSession(size int64) func(ssh.Channel) {
	return func(c ssh.Channel) {
		say(c, hostLine)
		if n, _ := io.Copy(io.Discard, io.LimitReader(c, int64(scriptSize(Seed(testSeed), nil))+size)); n < size {
			return
		}
		say(c, "starting")
		say(c, "done")
	}
}
