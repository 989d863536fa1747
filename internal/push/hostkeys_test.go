package push

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func TestHostKeys(t *testing.T) {
	other := publicOf(t, writeKey(t, filepath.Join(t.TempDir(), "other")))
	line := func(name string, k ssh.PublicKey) string { return knownhosts.Line([]string{name}, k) + "\n" }
	const ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
	cases := []struct {
		name    string
		known   func(address string, real ssh.PublicKey) string
		accept  bool
		class   Class
		message []string
		remedy  string
		record  bool
	}{
		{name: "a known key is accepted", known: line},
		{name: "a hashed name with a port is recognised", known: func(a string, k ssh.PublicKey) string {
			return line(knownhosts.HashHostname(knownhosts.Normalize(a)), k)
		}},
		{name: "a host is recognised by its name in the cluster config", known: func(a string, k ssh.PublicKey) string {
			return line(strings.Replace(a, "127.0.0.1", "db1", 1), k)
		}},
		{name: "a line of a key type from the future doesn't hide the others", known: func(a string, k ssh.PublicKey) string {
			return "[127.0.0.1]:1 ssh-future AAAA\nhalf a\n" + line(a, k)
		}},
		{name: "an unknown key is refused with its fingerprint", known: func(string, ssh.PublicKey) string { return "" },
			class: HostKeyUnknown, message: []string{"ssh-ed25519 SHA256:"}, remedy: "ssh-keyscan"},
		{name: "an unknown key is accepted and recorded if that is wanted", known: func(string, ssh.PublicKey) string { return "# no newline" },
			accept: true, record: true},
		{name: "a changed key is refused with both fingerprints and the line", known: func(a string, _ ssh.PublicKey) string { return "\n\n" + line(a, other) },
			class: HostKeyChanged, message: []string{"known_hosts line 3", ssh.FingerprintSHA256(other)}, remedy: "ssh-keygen -R"},
		{name: "a changed key is refused even if new ones are accepted", known: func(a string, _ ssh.PublicKey) string { return line(a, other) },
			accept: true, class: HostKeyChanged},
		{name: "a key of another type than the known one counts as changed", known: func(a string, _ ssh.PublicKey) string {
			return knownhosts.Normalize(a) + " " + ecdsa + "\n"
		}, accept: true, class: HostKeyChanged, message: []string{"only offers ssh-ed25519", "line 1"}},
		{name: "a revoked key is refused", known: func(a string, k ssh.PublicKey) string { return line(a, k) + "@revoked * " + line("x", k)[2:] },
			accept: true, class: HostKeyRevoked, message: []string{"line 2"}},
		{name: "a certificate authority's key is no host's key", known: func(a string, k ssh.PublicKey) string { return "@cert-authority " + line(a, k) },
			class: HostKeyUnknown, message: []string{"only offers"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			const size = 1000
			h := startFakeHost(t, func(h *fakeHost) { h.session = goodSession(size) })
			opts := h.options(binaryOf(make([]byte, size)))
			opts.HostTimeout, opts.ConnectTimeout = 10*time.Second, 10*time.Second
			opts.AcceptNewHostKeys = c.accept
			before := c.known(h.listen.Addr().String(), h.signer.PublicKey())
			write(t, opts.KnownHosts[0], before, 0o600)
			target := h.target()
			target.Name = "DB1"
			// Twice the same host at once: what is new must be recorded once.
			results, err := Push(context.Background(), opts, []Target{target, target}, nil)
			if err != nil {
				t.Fatal(err)
			}
			after := read(t, opts.KnownHosts[0])
			if c.class != "" {
				wantFailure(t, results[0].Err, c.class, c.remedy, c.message...)
				// Without a common key type the negotiation is the last thing sent, and no key is ever shown.
				negotiated := !strings.Contains(results[0].Err.Message, "only offers")
				if h.logins.Load() != 0 || negotiated && h.lateRead.Load() != 0 {
					t.Errorf("%d logins were tried and %d bytes sent after the host key was shown", h.logins.Load(), h.lateRead.Load())
				}
				if after != before {
					t.Error("the known hosts file changed")
				}
				return
			}
			for _, r := range results {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			if !c.record {
				if after != before || results[0].NewHostKey != "" {
					t.Error("a known key was recorded")
				}
				return
			}
			want := before + "\n" + line(h.listen.Addr().String(), h.signer.PublicKey())
			if after != want {
				t.Errorf("known hosts are %q, should be %q", after, want)
			}
			if results[0].NewHostKey+results[1].NewHostKey != "ssh-ed25519 "+ssh.FingerprintSHA256(h.signer.PublicKey()) {
				t.Errorf("recorded keys are %q and %q", results[0].NewHostKey, results[1].NewHostKey)
			}
		})
	}
}

func TestAHostWithSeveralKeysIsKnownByAnyOfThem(t *testing.T) {
	rsa := filepath.Join(t.TempDir(), "rsa")
	write(t, rsa, testRSAKey(t), 0o600)
	s := startSSHD(t, "HostKey "+rsa)
	opts := s.options(shellAgent("true", 0))
	for _, key := range []ssh.PublicKey{publicOf(t, rsa), s.hostKey} {
		write(t, s.known, knownhosts.Line([]string{s.address()}, key)+"\n", 0o600)
		if r := s.push(opts); r.Err != nil {
			t.Errorf("known by %s: %s", key.Type(), r.Err)
		}
	}
}

func TestAMissingKnownHostsFileCountsAsEmptyAndIsMade(t *testing.T) {
	s := startSSHD(t)
	opts := s.options(shellAgent("true", 0))
	missing := filepath.Join(t.TempDir(), "new", "known_hosts")
	opts.KnownHosts = []string{missing}
	wantFailure(t, s.push(opts).Err, HostKeyUnknown, "--accept-new-host-keys", fmt.Sprint(s.port))
	opts.AcceptNewHostKeys = true
	if r := s.push(opts); r.Err != nil || r.NewHostKey == "" {
		t.Fatalf("error %v, new host key %q", r.Err, r.NewHostKey)
	}
	if info, err := os.Stat(missing); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	opts.AcceptNewHostKeys = false
	if r := s.push(opts); r.Err != nil {
		t.Errorf("the recorded key is not recognised: %s", r.Err)
	}
}
