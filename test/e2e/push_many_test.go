//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// crowd is an SSH server in this process that stands for all hosts of 127.1.0.0/16: how one behaves is in the third part
// of its address. Two cores don't bear 300 real ones; what is measured is the coordinator.
type crowd struct {
	listen net.Listener
	key    ssh.Signer
	over   chan struct{}
}

// The ways in which hosts of the crowd are broken. 0 is a good one.
const (
	good = iota
	hangsAtTheBanner
	hasAnotherKey
	isNotKnown
	refusesTheLogin
	isAnotherMachine
	hasNoRoom
	wantsAPassword
	endsInTheMiddle
	hangsInTheMiddle
	isNotThere
)

var brokenClasses = map[int]string{
	hangsAtTheBanner: "timeout", hasAnotherKey: "host-key-changed", isNotKnown: "host-key-unknown", refusesTheLogin: "auth",
	isAnotherMachine: "architecture", hasNoRoom: "no-space", wantsAPassword: "sudo-password", endsInTheMiddle: "upload",
	hangsInTheMiddle: "timeout", isNotThere: "unreachable",
}

func newSigner(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func gather(t *testing.T) *crowd {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	key, _ := newSigner(t)
	c := &crowd{listen: l, key: key, over: make(chan struct{})}
	t.Cleanup(func() { close(c.over); _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); c.serve(conn) }()
		}
	}()
	return c
}

func (c *crowd) port() int { return c.listen.Addr().(*net.TCPAddr).Port }

func (c *crowd) serve(conn net.Conn) {
	to := conn.LocalAddr().(*net.TCPAddr).IP.To4()
	if to[0] != 127 || to[1] != 1 {
		return
	}
	how := int(to[2])
	if how == hangsAtTheBanner {
		<-c.over
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		if how == refusesTheLogin {
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	config.AddHostKey(c.key)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for n := range channels {
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type == "exec" {
				_ = r.Reply(true, nil)
				go ssh.DiscardRequests(requests)
				c.session(channel, string(r.Payload), how)
				_ = channel.Close()
				break
			}
		}
	}
}

var (
	scriptBytes = regexp.MustCompile(`dd bs=(\d+) count=1 `)
	sizes       = regexp.MustCompile(`wire_size=(\d+) packing=\w* token=(\w+)`)
)

// session does what the script does on a host.
func (c *crowd) session(channel ssh.Channel, command string, how int) {
	say := func(words string) { fmt.Fprintf(channel, "muster-push: %s\n", words) }
	machine := "x86_64"
	if how == isAnotherMachine {
		machine = "s390x"
	}
	say("host Linux " + machine + " has= unpacks= fetches=")
	m := scriptBytes.FindStringSubmatch(command)
	if m == nil {
		return
	}
	length, _ := strconv.Atoi(m[1])
	script := make([]byte, length)
	if _, err := io.ReadFull(channel, script); err != nil {
		return
	}
	s := sizes.FindSubmatch(script)
	if s == nil {
		return
	}
	wire, _ := strconv.ParseInt(string(s[1]), 10, 64)
	switch how {
	case hasNoRoom:
		say("failed no-space /var/tmp has 1 KiB free of 10240")
		return
	case endsInTheMiddle:
		_, _ = io.CopyN(io.Discard, channel, wire/2)
		return
	case hangsInTheMiddle:
		_, _ = io.CopyN(io.Discard, channel, wire/2)
		<-c.over
		return
	}
	if _, err := io.CopyN(io.Discard, channel, wire); err != nil {
		return
	}
	say("starting")
	if how == wantsAPassword {
		fmt.Fprintln(channel, "sudo: a password is required")
		say("refused 1 /var/tmp/muster-push-" + string(s[2]) + " sudo")
		_, _ = io.Copy(io.Discard, channel)
		return
	}
	say("done")
}

// 300 hosts, three each broken in one of ten ways: the others are pushed to, the broken ones are told apart, and it ends
// in time with little memory.
func TestPushTo300HostsOf30AreBroken(t *testing.T) {
	_, c := newSite(t, exampleCluster(t, 1))
	crowd := gather(t)
	dir := t.TempDir()
	_, key := newSigner(t)
	other, _ := newSigner(t)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := closed.Addr().(*net.TCPAddr).Port
	_ = closed.Close()
	config := fmt.Sprintf("Host 127.1.%d.*\n Port %d\nHost *\n Port %d\n User op\n", isNotThere, free, crowd.port())
	var known strings.Builder
	for how := good; how <= isNotThere; how++ {
		signer := crowd.key
		switch how {
		case isNotKnown:
			continue
		case hasAnotherKey:
			signer = other
		}
		for n := 1; n <= 3 || how == good && n <= 250; n++ {
			fmt.Fprintln(&known, knownhosts.Line([]string{fmt.Sprintf("127.1.%d.%d:%d", how, n, crowd.port())}, signer.PublicKey()))
		}
	}
	// A second network of good ones, for the fourth part of an address has 254.
	targets := []string{"127.1.0.[1-250]", "127.1.[100-119].1"}
	for n := 100; n < 120; n++ {
		fmt.Fprintln(&known, knownhosts.Line([]string{fmt.Sprintf("127.1.%d.1:%d", n, crowd.port())}, crowd.key.PublicKey()))
	}
	targets = append(targets, fmt.Sprintf("127.1.[%d-%d].[1-3]", hangsAtTheBanner, isNotThere))
	for name, text := range map[string]string{"key": string(key), "config": config, "known": known.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	const hostTimeout = 40 * time.Second
	cmd := exec.CommandContext(ctx, "./coordinator", append([]string{
		"push", "--role", "agent", "-o", "json", "-i", dir + "/key", "--known-hosts", dir + "/known", "--ssh-config", dir + "/config",
		"--connect-timeout", "20s", "--host-timeout", hostTimeout.String(),
	}, targets...)...)
	cmd.Dir = c.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	_ = cmd.Run() // how it ended is asserted below
	took := time.Since(began)
	if cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("push ended with %d:\n%s", cmd.ProcessState.ExitCode(), stderr.String())
	}
	var r pushReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Pushed != 270 || r.Failed != 30 {
		t.Errorf("%d hosts are pushed to and %d failed, want 270 and 30", r.Pushed, r.Failed)
	}
	for _, h := range r.Hosts {
		parts := strings.Split(h.Host, ".")
		how, _ := strconv.Atoi(parts[2])
		if want := brokenClasses[how]; h.Class != want {
			t.Errorf("%s: class %q, want %q: %s", h.Host, h.Class, want, h.Message)
		}
		if h.Class != "" && h.Remedy == "" {
			t.Errorf("%s: no remedy", h.Host)
		}
	}
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
	t.Logf("%d pushed, %d failed in %.1f s, %d MB at the most", r.Pushed, r.Failed, took.Seconds(), peak)
	if took > 2*hostTimeout {
		t.Errorf("took %s; a host has %s", took, hostTimeout)
	}
	if peak > 300 {
		t.Errorf("the coordinator took %d MB", peak)
	}
	if s := c.must("status", "-o", "json"); strings.Count(s, `"sudo-password"`) != 3 {
		t.Error("status doesn't know of the three hosts that want a password")
	}
}
