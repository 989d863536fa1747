//go:build e2e

package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// crowd is a great many hosts, cheaper than the lab's: each has a root of its own on the lab's image, mounts and processes of
// its own and a real sshd, and shares the network, where it is an address of 127.1.0.0/16. Its systemctl only writes down what
// it is asked for.
type crowd struct {
	t          *testing.T
	image, dir string
	port       int
	key        string // of the user admin, in a file
	public     string
	hosts      map[int]*crowdHost
}

type crowdHost struct {
	sshd  *exec.Cmd // process 1 of the host
	known ssh.PublicKey
}

// enterCrowd is what makes the host: $1 is the image, $2 its directory, $3 its address, $4 the port, $5 who may log in and $6
// what else is done as root in it.
const enterCrowd = `set -e
mount --make-rprivate /
cd "$2"
mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work" crowd root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/sshd run/systemd/system
cp ../host_key etc/ssh/ssh_host_ed25519_key
printf '%s' "$5" >home/admin/.ssh/authorized_keys
printf '#!/bin/sh\necho "$*" >>/var/log/systemctl\n' >usr/local/bin/systemctl
chmod 755 usr/local/bin/systemctl
[ -z "$6" ] || chroot . /bin/sh -ec "$6"
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot . /usr/sbin/sshd -D -e -p "$4" -o "ListenAddress=$3"
`

func newCrowd(t *testing.T, l *lab) *crowd {
	t.Helper()
	free, err := net.Listen("tcp4", "127.1.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// The lab has its hosts there, so an overlay can be, and it removes it all.
	disks := os.Getenv("MUSTER_LAB_DISKS")
	if disks == "" {
		disks = "/var/lib/muster-lab"
	}
	c := &crowd{t: t, image: l.do("image"), dir: filepath.Join(disks, "crowd"), port: free.Addr().(*net.TCPAddr).Port, hosts: map[int]*crowdHost{}}
	_ = free.Close()
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	public, private := newKey(t)
	c.key, c.public = filepath.Join(c.dir, "key"), string(ssh.MarshalAuthorizedKey(public))
	if err := os.WriteFile(c.key, private, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for host := range c.hosts {
			c.end(host)
		}
		if err := os.RemoveAll(c.dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newKey(t *testing.T) (ssh.PublicKey, []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(block)
}

func (c *crowd) address(host int) string { return fmt.Sprintf("127.1.%d.%d", host>>8, host&255) }

// start makes a host, and returns before its sshd listens.
func (c *crowd) start(host int, within string) {
	c.t.Helper()
	dir := filepath.Join(c.dir, strconv.Itoa(host))
	for _, part := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, part), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	public, private := newKey(c.t)
	if err := os.WriteFile(filepath.Join(dir, "host_key"), private, 0o600); err != nil {
		c.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	sshd := exec.Command("/bin/sh", "-c", enterCrowd, "enter", c.image, dir, c.address(host), strconv.Itoa(c.port), c.public, within)
	sshd.Stdout, sshd.Stderr = log, log
	sshd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	if err := sshd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.hosts[host] = &crowdHost{sshd: sshd, known: public}
}

func (c *crowd) wait(host int) {
	c.t.Helper()
	eventually(c.t, time.Minute, "sshd of "+c.address(host)+" listens", func() error {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort(c.address(host), strconv.Itoa(c.port)), time.Second)
		if err != nil {
			return fmt.Errorf("%w: %s", err, tail(filepath.Join(c.dir, strconv.Itoa(host), "log"), 1<<10))
		}
		return conn.Close()
	})
}

// freeze stops the host's sshd: the kernel still takes connections for it.
func (c *crowd) freeze(host int) {
	c.t.Helper()
	if err := c.hosts[host].sshd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
}

// end kills all processes of the host.
func (c *crowd) end(host int) {
	h := c.hosts[host]
	if h.sshd.ProcessState == nil {
		_ = h.sshd.Process.Kill()
		_ = h.sshd.Wait()
	}
}

// root is the file system of a host that has not ended, as it sees it.
func (c *crowd) root(host int) string {
	return fmt.Sprintf("/proc/%d/root", c.hosts[host].sshd.Process.Pid)
}

// knownLine is the host's line in a file of known hosts, with another key if one is given.
func (c *crowd) knownLine(host int, key ssh.PublicKey) string {
	if key == nil {
		key = c.hosts[host].known
	}
	return knownhosts.Line([]string{net.JoinHostPort(c.address(host), strconv.Itoa(c.port))}, key) + "\n"
}
