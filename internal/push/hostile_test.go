package push

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestMisbehavingHosts(t *testing.T) {
	const size = 8 << 20 // more than the windows of a channel hold
	cases := []struct {
		name    string
		host    func(*fakeHost)
		class   Class
		message string
	}{
		{name: "one that never shows a banner", class: Timeout, message: "authenticating",
			host: func(h *fakeHost) { h.raw = func(net.Conn) { <-h.over } }},
		{name: "one that shows a banner and nothing else", class: Timeout, message: "authenticating",
			host: func(h *fakeHost) {
				h.raw = func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n"); <-h.over }
			}},
		{name: "one that talks without end before the banner", class: Unreachable,
			host: func(h *fakeHost) {
				h.raw = func(c net.Conn) {
					for {
						if _, err := c.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
							return
						}
					}
				}
			}},
		{name: "one that closes at once", class: Unreachable, message: "before it shows a host key",
			host: func(h *fakeHost) { h.raw = func(net.Conn) {} }},
		{name: "one that is no SSH server", class: Unreachable,
			host: func(h *fakeHost) {
				h.raw = func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }
			}},
		{name: "one that hangs at the login", class: Timeout, message: "authenticating", host: func(h *fakeHost) { h.loginHangs = true }},
		{name: "one that never answers after the login", class: Timeout, message: "not done within 1s", host: func(*fakeHost) {}},
		{name: "one that runs nothing", class: Timeout, host: func(h *fakeHost) { h.session = func(ssh.Channel) { <-h.over } }},
		{name: "one that never reads", class: Timeout, message: "uploading",
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) { say(c, hostLine); <-h.over }
			}},
		{name: "one that hangs in the middle of the upload", class: Timeout, message: "uploading",
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) {
					say(c, hostLine)
					_, _ = io.CopyN(io.Discard, c, size/2)
					<-h.over
				}
			}},
		{name: "one that ends in the middle of the upload", class: UploadFailed, message: "ended early",
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) { say(c, hostLine); _, _ = io.CopyN(io.Discard, c, 1000) }
			}},
		{name: "one that prints lines without end", class: BadOutput, message: "without end",
			host: func(h *fakeHost) { h.session = func(c ssh.Channel) { endless(c, "noise\n") } }},
		{name: "one that prints one line without end", class: BadOutput, message: "without end",
			host: func(h *fakeHost) { h.session = func(c ssh.Channel) { endless(c, "\x1b]0;noise\x07") } }},
		{name: "one that prints errors without end", class: BadOutput, message: "without end",
			host: func(h *fakeHost) { h.session = func(c ssh.Channel) { endless(c.Stderr(), "noise\n") } }},
		{name: "one that prints without end during the upload", class: BadOutput, message: "without end",
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) { say(c, hostLine); endless(c, "noise\n") }
			}},
		{name: "one that repeats a right word", class: BadOutput, message: "was expected",
			host: func(h *fakeHost) { h.session = func(c ssh.Channel) { endless(c, replyPrefix+hostLine+"\n") } }},
		{name: "one that claims to be done before it got anything", class: BadOutput,
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) { say(c, hostLine); say(c, "done"); <-h.over }
			}},
		{name: "one that invents a directory", class: SudoTTY,
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) {
					say(c, hostLine)
					say(c, "starting")
					_, _ = io.WriteString(c, "sudo: sorry, you must have a tty to run sudo\n")
					say(c, "refused 1 /tmp/$(reboot) sudo")
				}
			}},
		{name: "one that wants to be sent what it has not been asked to fetch", class: BadOutput, message: "was expected",
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) { say(c, hostLine); say(c, "unfetched for fun"); <-h.over }
			}},
		{name: "one that is no Linux", class: Architecture, message: "FreeBSD",
			host: func(h *fakeHost) {
				h.session = func(c ssh.Channel) { say(c, "host FreeBSD amd64 has= unpacks= fetches="); <-h.over }
			}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := startFakeHost(t, c.host)
			begun := time.Now()
			results, err := Push(context.Background(), h.options(binaryOf(make([]byte, size))), []Target{h.target()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFailure(t, results[0].Err, c.class, "", c.message)
			if len(results[0].Err.Message) > 4<<10 || bytes.ContainsAny([]byte(results[0].Err.Message), "\x1b\x07") {
				t.Errorf("the host's output is not tamed: %q", results[0].Err.Message)
			}
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("took %s in spite of the limit of 1 s", took)
			}
		})
	}
}

func endless(w io.Writer, text string) {
	block := bytes.Repeat([]byte(text), 1000)
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestAnInterruptionEndsEveryHostQuickly(t *testing.T) {
	h := startFakeHost(t, func(h *fakeHost) {
		h.session = func(c ssh.Channel) { say(c, hostLine); <-h.over }
	})
	opts := h.options(binaryOf(make([]byte, 8<<20)))
	opts.ConnectTimeout, opts.HostTimeout, opts.Concurrency = time.Minute, time.Minute, 5
	ctx, cancel := context.WithCancel(context.Background())
	var uploading atomic.Int32
	begun := time.Now()
	results, err := Push(ctx, opts, repeat(h.target(), 20), func(e Event) {
		if e.Bytes > 0 || e.Step == Uploading {
			if uploading.Add(1) == 5 {
				cancel()
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		wantFailure(t, r.Err, Interrupted, "")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestManyHosts pushes to 300 hosts, some of which hang: the others are not delayed, the results keep the order, and the
// agent is not copied for each.
func TestManyHosts(t *testing.T) {
	const hosts, size = 300, 2 << 20
	good := startFakeHost(t, func(h *fakeHost) { h.session = goodSession(size) })
	allGood := make(chan struct{})
	bad := startFakeHost(t, func(h *fakeHost) { h.raw = func(net.Conn) { <-allGood } })
	targets := repeat(good.target(), hosts)
	for i := range targets {
		if i%30 == 7 {
			targets[i] = bad.target()
		}
	}
	opts := good.options(binaryOf(make([]byte, size)))
	opts.ConnectTimeout, opts.HostTimeout = 2*time.Minute, 2*time.Minute

	var peak atomic.Uint64
	stop := make(chan struct{})
	go func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	begun := time.Now()
	pushed := 0
	results, err := Push(context.Background(), opts, targets, func(e Event) {
		if e.Step != Pushed {
			return
		}
		if pushed++; pushed == hosts-hosts/30 {
			close(allGood) // the others hang until now
		}
	})
	close(stop)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Target.Port != targets[i].Port {
			t.Fatalf("result %d is of another target", i)
		}
		if i%30 == 7 {
			wantFailure(t, r.Err, Unreachable, "")
		} else if r.Err != nil {
			t.Fatalf("host %d: %s", i, r.Err)
		}
	}
	t.Logf("%d hosts in %s, peak heap of both ends %d MiB", hosts, time.Since(begun), peak.Load()>>20)
	// 100 copies of the agent alone would be 200 MiB.
	if peak.Load() > 180<<20 {
		t.Errorf("peak heap is %d MiB", peak.Load()>>20)
	}
}

func repeat(target Target, n int) []Target {
	all := make([]Target, n)
	for i := range all {
		all[i] = target
	}
	return all
}
