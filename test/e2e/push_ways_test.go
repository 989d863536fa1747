//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"
)

// leftovers lists what a push that failed must not leave.
const leftovers = "ls -d /var/tmp/muster-push-* /tmp/muster-push-* /var/lib/bootstrap-agent 2>/dev/null; true"

// Hosts as they are, each on its way in: what is refused says so and leaves nothing, what is tried again with the right word
// goes on. One lab for all; each way leaves no failed push behind, for --retry-failed of the next.
func TestPushToHostsAsTheyAre(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(7, "--requiretty", "2,7")
	const password = "geheim-42"
	way := func(name string, f func(t *testing.T, l *lab, c *coordinator)) {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			sub, at := *l, *c
			sub.t, at.t, at.lab = t, t, &sub
			f(t, &sub, &at)
			t.Logf("%.1f s", time.Since(began).Seconds())
		})
	}

	way("requiretty", func(t *testing.T, l *lab, c *coordinator) {
		if r := c.pushWith(0, "", "--role", "agent", address(2)); r.Pushed != 1 {
			t.Errorf("got %+v", r)
		}
	})

	way("sudo with a password, also on a terminal only", func(t *testing.T, l *lab, c *coordinator) {
		for _, h := range []int{1, 7} {
			l.mustSh(h, `echo "admin:`+password+`" | chpasswd; rm -f /etc/sudoers.d/admin /etc/sudoers.d/lab; printf "admin ALL=(ALL) PASSWD: ALL\nDefaults passwd_tries=1\n" >/etc/sudoers.d/zz-password; chmod 440 /etc/sudoers.d/zz-password`)
		}
		r := c.pushWith(3, "", "--role", "agent", address(1), address(7))
		if r.class(address(1)) != "sudo-password" || r.class(address(7)) != "sudo-password" {
			t.Errorf("without a password: %+v", r)
		}
		for _, h := range []int{1, 7} {
			if out := l.mustSh(h, leftovers); out != "" {
				t.Errorf("host%d, which was not pushed to, keeps %s", h, out)
			}
		}
		if s := c.must("status"); !strings.Contains(s, "--ask-sudo") || !strings.Contains(s, "sudo-password") {
			t.Errorf("status doesn't tell what to do:\n%s", s)
		}
		r = c.pushWith(3, "falsch-43\n", "--retry-failed", "--sudo-fd", "3")
		if r.class(address(1)) != "sudo-wrong-password" || r.class(address(7)) != "sudo-wrong-password" {
			t.Errorf("with a wrong password: %+v", r)
		}
		if r = c.pushWith(0, password+"\n", "--retry-failed", "--sudo-fd", "3"); r.Pushed != 2 {
			t.Errorf("with the right password: %+v", r)
		}
		if out := l.mustSh(1, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -c '[g]eheim-42' || true"); strings.TrimSpace(out) != "0" {
			t.Errorf("the password is in the arguments or the environment of %s processes", out)
		}
	})

	way("noexec on /tmp, and /var/tmp is full", func(t *testing.T, l *lab, c *coordinator) {
		l.mustSh(3, "mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp; mount -t tmpfs -o size=64k,mode=1777 tmpfs /var/tmp")
		c.pushWith(0, "", "--role", "agent", address(3))
		if out := l.mustSh(3, "ls -A /tmp /var/tmp | grep muster; true"); out != "" {
			t.Errorf("it leaves %s", out)
		}
	})

	way("no curl, no wget, no python3", func(t *testing.T, l *lab, c *coordinator) {
		l.mustSh(4, "rm -f /usr/bin/curl /usr/bin/wget /usr/bin/python3*")
		if r := c.pushWith(0, "", "--role", "agent", address(4)); len(r.Hosts) != 1 || !strings.Contains(r.Hosts[0].Note, "neither curl nor wget") {
			t.Errorf("the host that can't fetch the agent: %+v", r)
		}
	})

	way("a jump host", func(t *testing.T, l *lab, c *coordinator) {
		l.mustSh(5, `printf 'Match Address *,!10.77.0.11\n DenyUsers *\n' >>/etc/ssh/sshd_config; systemctl reload ssh`)
		if r := c.pushWith(3, "", "--role", "agent", address(5)); r.class(address(5)) != "auth" {
			t.Errorf("straight to the host behind another one: %+v", r)
		}
		c.pushWith(0, "", "--retry-failed", "-J", "admin@"+address(1))
	})

	way("sshd hangs", func(t *testing.T, l *lab, c *coordinator) {
		l.mustSh(6, `kill -STOP "$(systemctl show -p MainPID --value ssh)"`)
		began := time.Now()
		r := c.pushWith(3, "", "--role", "agent", "--connect-timeout", "3s", address(6))
		if took := time.Since(began); r.class(address(6)) != "timeout" || took > 8*time.Second {
			t.Errorf("after %s: %+v", took, r)
		}
		l.mustSh(6, `kill -CONT "$(systemctl show -p MainPID --value ssh)"`)
		if out := l.mustSh(6, leftovers); out != "" {
			t.Errorf("it has %s", out)
		}
	})

	way("a key with a passphrase in a real ssh-agent", func(t *testing.T, l *lab, c *coordinator) {
		dir, err := os.MkdirTemp("", "ssh") // the path of a socket is short
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		key, socket := filepath.Join(dir, "key"), filepath.Join(dir, "agent")
		do := func(name string, args ...string) {
			t.Helper()
			cmd := exec.Command(name, args...)
			cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket, "SSH_ASKPASS_REQUIRE=force", "SSH_ASKPASS="+filepath.Join(dir, "askpass"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", name, err, out)
			}
		}
		do("ssh-keygen", "-q", "-t", "ed25519", "-N", password, "-f", key)
		if err := os.WriteFile(filepath.Join(dir, "askpass"), []byte("#!/bin/sh\necho "+password+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		agent := exec.Command("ssh-agent", "-D", "-a", socket)
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
		eventually(t, 5*time.Second, "ssh-agent listens", func() error { _, err := os.Stat(socket); return err })
		// The host takes this key and no other; it is joining, and to push to it again changes nothing.
		l.mustSh(4, "echo '"+strings.TrimSpace(readFile(t, key+".pub"))+"' >/home/admin/.ssh/authorized_keys")
		args := []string{"--role", "agent", "-i", key, "--known-hosts", l.do("known-hosts"), address(4)}
		// The key is of no use before the agent has it, for there is no terminal to ask on. Nobody is contacted.
		if r := c.pushBy(pushing{code: 1, env: []string{"SSH_AUTH_SOCK=" + socket}}, args...); len(r.Hosts) > 0 {
			t.Errorf("without the passphrase: %+v", r)
		}
		do("ssh-add", "-q", key)
		if r := c.pushBy(pushing{env: []string{"SSH_AUTH_SOCK=" + socket}}, args...); r.Pushed != 1 {
			t.Errorf("got %+v", r)
		}
	})

	way("a changed host key", func(t *testing.T, l *lab, c *coordinator) {
		other, _ := newKey(t)
		known := filepath.Join(t.TempDir(), "known_hosts")
		writeFile(t, known, knownhosts.Line([]string{address(6)}, other)+"\n")
		const logins = "journalctl -q --no-pager -o cat -u ssh | grep -cE 'Accepted|Failed|session opened' || true"
		before, received := l.mustSh(6, logins), l.received(6)
		r := c.pushBy(pushing{code: 3}, "--role", "agent", "-i", l.do("key"), "--known-hosts", known, "--accept-new-host-keys", address(6))
		if r.class(address(6)) != "host-key-changed" {
			t.Errorf("got %+v", r)
		}
		if after := l.mustSh(6, logins); after != before {
			t.Errorf("its sshd saw a login: %s tries before, %s after", before, after)
		}
		// The key exchange takes some 3 KB; the agent, packed, a thousand times that.
		if n := l.received(6) - received; n > 8<<10 {
			t.Errorf("%d bytes went to it", n)
		}
		if out := l.mustSh(6, leftovers); out != "" {
			t.Errorf("it has %s", out)
		}
	})

	way("the disk becomes full in the middle", func(t *testing.T, l *lab, c *coordinator) {
		// There is room when it begins, and none once a part of the agent is there, however it comes.
		l.mustSh(6, "mount -t tmpfs -o size=32m,mode=1777 tmpfs /var/tmp")
		l.throttle(6, "8mbit")
		var full sync.WaitGroup
		full.Go(func() {
			if out, err := l.sh(6, `n=0; until [ -n "$(find /var/tmp/muster-push-* -type f -size +16k 2>/dev/null)" ]; do n=$((n+1)); [ $n -lt 500 ] || exit 1; sleep 0.02; done; dd if=/dev/zero of=/var/tmp/filler bs=64k 2>/dev/null; true`); err != nil {
				t.Errorf("no part of the agent came: %v %s", err, out)
			}
		})
		r := c.pushWith(3, "", "--retry-failed")
		full.Wait()
		l.unthrottle(6)
		if r.class(address(6)) != "no-space" {
			t.Errorf("got %+v", r)
		}
		if out := l.mustSh(6, leftovers); out != "" {
			t.Errorf("it leaves %s", out)
		}
		l.mustSh(6, "umount -l /var/tmp")
	})

	way("another architecture", func(t *testing.T, l *lab, c *coordinator) {
		l.mustSh(6, `mv /usr/bin/uname /usr/bin/uname.own; printf '#!/bin/sh\n/usr/bin/uname.own "$@" | sed "s/$(/usr/bin/uname.own -m)/riscv64/"\n' >/usr/bin/uname; chmod 755 /usr/bin/uname`)
		received := l.received(6)
		r := c.pushWith(3, "", "--retry-failed")
		if r.class(address(6)) != "architecture" || !strings.Contains(fmt.Sprint(r), "riscv64") {
			t.Errorf("got %+v", r)
		}
		// The script goes with the command; no agent does.
		if n := l.received(6) - received; n > 64<<10 {
			t.Errorf("%d bytes went to it", n)
		}
		if out := l.mustSh(6, leftovers); out != "" {
			t.Errorf("it leaves %s", out)
		}
		l.mustSh(6, "mv /usr/bin/uname.own /usr/bin/uname")
	})

	way("twice at once", func(t *testing.T, l *lab, c *coordinator) {
		var both sync.WaitGroup
		results := make([]pushReport, 2)
		for i := range results {
			both.Go(func() { results[i] = c.pushBy(pushing{code: anyEnd}, c.ssh("", "--role", "agent", address(6))[1:]...) })
		}
		both.Wait()
		if results[0].Pushed+results[1].Pushed < 1 {
			t.Errorf("neither got through: %+v", results)
		}
		for _, r := range results {
			if len(r.Hosts) != 1 || r.Failed == 1 && (r.Hosts[0].Class == "" || r.Hosts[0].Remedy == "") {
				t.Errorf("one ended with neither success nor class and remedy: %+v", r)
			}
			t.Logf("pushed %d, class %q %s", r.Pushed, r.class(address(6)), r.Hosts[0].Message)
		}
		first := c.until(6, time.Minute, "waits for the roster", func(h host) bool { return h.Phase == "ready" })
		// A second token, if there is one, has been used or not by now: the host stays one.
		var rows []host
		for _, h := range c.status().Hosts {
			if h.Address == address(6) || h.Name == address(6) {
				rows = append(rows, h)
			}
		}
		if len(rows) != 1 || rows[0].ID != first.ID {
			t.Errorf("two pushes to one host make %d rows: %v", len(rows), rows)
		}
		if n := strings.TrimSpace(l.mustSh(6, "pgrep -c bootstrap-agent; true")); n != "1" {
			t.Errorf("%s agents run", n)
		}
	})

	for h := 1; h <= 7; h++ {
		c.until(h, time.Minute, "waits for the roster", func(h host) bool { return h.Phase == "ready" })
	}
}
