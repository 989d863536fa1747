//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func datacenter() string { return filepath.Join(repository(), "examples/datacenter") }

// datacenterProgram is one of those that hosts get, for use from outside of them.
func datacenterProgram(name string) string {
	return filepath.Join(datacenter(), "packages", name, runtime.GOARCH, "bin", name)
}

// newDatacenter is a coordinator that serves one of the example's cluster configs, with some texts replaced.
func newDatacenter(t *testing.T, file string, replace ...string) (*lab, *coordinator) {
	t.Helper()
	l := newLab(t)
	c := &coordinator{t: t, lab: l, dir: t.TempDir()}
	copyPrograms(t, c.dir)
	bundle, err := filepath.Rel(c.dir, datacenter())
	if err != nil {
		t.Fatal(err)
	}
	text := readFile(t, filepath.Join(datacenter(), file))
	for i, replace := 0, append(replace, "bundle: .", "bundle: "+bundle); i < len(replace); i += 2 {
		with := strings.Replace(text, replace[i], replace[i+1], 1)
		if with == text {
			t.Fatalf("%s does not say %q", file, replace[i])
		}
		text = with
	}
	writeFile(t, filepath.Join(c.dir, "cluster.yaml"), text)
	c.must("genconf")
	c.start()
	return l, c
}

// The whole of the example: three masters, two agents, a public agent, from bare hosts to messages and keys that arrive.
func TestTheDatacenterIsInstalledAndWorks(t *testing.T) {
	order := filepath.Join(t.TempDir(), "order")
	writeFile(t, order, "restart everything\n")
	key := signOrder(t, order)
	l, c := newDatacenter(t, "cluster.yaml", "superuser_name: operator", "superuser_name: operator\n  bus_ping_interval: 1s\n  superuser_ssh_key: "+key)
	l.up(6)
	before := make(map[int]tree)
	for _, host := range []int{1, 4, 6} {
		before[host] = l.snapshot(host)
	}
	c.want(0, c.ssh("deploy", "--timeout", "3m",
		"master="+strings.Join(addresses(1, 2, 3), ","), "agent="+strings.Join(addresses(4, 5), ","), "public-agent="+address(6))...)
	wantAllChecksOK(t, c, 6)

	masters := "http://" + strings.Join(addresses(1, 2, 3), ":2379,http://") + ":2379"
	if out, err := etcd(masters, "endpoint", "health"); err != nil || strings.Count(out, "is healthy") != 3 {
		t.Errorf("of three masters are healthy (error %v):\n%s", err, out)
	}
	wantMessage(t, l, 4, 5)
	wantForwarded(t, masters)
	wantUsersApart(t, l)
	wantSecretsApart(t, l)

	// What the superuser signed is known on every host.
	for _, name := range []string{"order", "order.sig"} {
		if _, err := l.run([]byte(readFile(t, filepath.Join(filepath.Dir(order), name))), "exec", "4", "--", "sh", "-c", "cat >/run/"+name); err != nil {
			t.Fatal(err)
		}
	}
	l.mustSh(4, "cd /run; /opt/demo/current/bin/verify-order order")
	if out, err := l.sh(4, "cd /run; echo more >>order; /opt/demo/current/bin/verify-order order"); err == nil {
		t.Errorf("an order that was changed after it was signed is taken: %s", out)
	}
	l.mustSh(4, "rm /run/order /run/order.sig")
	if got := l.mustSh(4, "nsenter -m -t $(systemctl show -p MainPID --value demo-nats) cat /etc/resolv.conf"); !strings.Contains(got, "search demo.example.com") {
		t.Errorf("the bus finds names by this file:\n%s", got)
	}
	for host, was := range before {
		l.wantNoAgent(host)
		wantNoChange(t, fmt.Sprintf("host%d", host), was.changes(l.snapshot(host), append(installed, systemdsOwn...)...))
	}

	// One master is lost, without a word.
	c.kill()
	l.fault("kill", 1)
	wantMessage(t, l, 4, 5)
	wantForwarded(t, "http://"+address(2)+":2379")
}

// The masters are listed, by address, and nothing else finds them.
func TestTheDatacenterWithListedMasters(t *testing.T) {
	// Nobody listens at the proxy: what goes between hosts must not go there.
	l, c := newDatacenter(t, "cluster-static.yaml", "state_backend: static", `state_backend: static
  backup_dir: /srv/backup
  backup_keep: 1
  use_proxy: true
  http_proxy: http://10.77.0.1:3128
  https_proxy: http://10.77.0.1:3128
  no_proxy: [.example.com]`)
	l.up(3)
	l.mustSh(1, "mkdir /srv/backup")
	c.want(0, c.ssh("deploy", "--timeout", "3m", "master="+address(1), "agent="+address(2), "public-agent="+address(3))...)
	wantAllChecksOK(t, c, 3)
	wantMessage(t, l, 2, 2)
	if out, err := etcd("http://"+address(3)+":79", "get", "--print-value-only", "/demo/state/cluster"); err != nil || strings.TrimSpace(out) != "demo" {
		t.Errorf("through the privileged port of the public agent the cluster's name is %q (error %v)", out, err)
	}
	for host, service := range map[int]string{1: "etcd", 2: "nats", 3: "haproxy"} {
		got := l.mustSh(host, "nsenter -m -t $(systemctl show -p MainPID --value demo-"+service+") cat /etc/resolv.conf")
		if want := "nameserver 10.77.0.1\nsearch demo.example.com example.com\noptions timeout:1 attempts:2"; got != want {
			t.Errorf("%s on host%d finds names by this file:\n%s", service, host, got)
		}
	}
	copies := l.mustSh(1, "cd /srv/backup && /opt/demo/current/bin/store-backup && sleep 1 && /opt/demo/current/bin/store-backup && ls")
	if names := strings.Fields(copies); len(names) != 3 || names[1] != "/srv/backup/"+names[2] {
		t.Errorf("of two copies of the store, one to be kept, there are:\n%s", copies)
	}
	l.mustSh(1, "test -s /var/lib/demo/work/log/etcd.log && test -s /var/lib/demo/work/log/nats.log")
	for host, metric := range map[int]string{1: "etcd_server_has_leader 1", 3: "haproxy_process_nbproc"} {
		out, err := exec.Command("curl", "-fsS", "http://"+address(host)+":9100/metrics").Output()
		if err != nil || !strings.Contains(string(out), metric) {
			t.Errorf("the metrics of host%d have no %s (error %v)", host, metric, err)
		}
	}
}

// The hosts that are no masters know one address, and there is no other way. What passes there is encrypted.
func TestTheDatacenterBehindAnEndpoint(t *testing.T) {
	l, c := newDatacenter(t, "cluster-endpoint.yaml", "security: strict", `security: strict
  bus_tls: {ca: /etc/pki/ca.pem, certificate: /etc/pki/host.pem, key: /etc/pki/host.pem}
  public_tls_certificate: /etc/pki/host.pem
  public_tls_min_version: TLSv1.3`)
	l.up(3)
	ca := newAuthority(t)
	for host, addresses := range map[int][]string{1: {address(1), "10.77.0.250"}, 2: {address(2)}, 3: {address(3)}} {
		dir := filepath.Join(l.root(host), "etc/pki")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "ca.pem"), ca.pem)
		if err := os.WriteFile(filepath.Join(dir, "host.pem"), []byte(ca.issue(t, addresses...)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.mustSh(1, "ip address add 10.77.0.250/32 dev $(ip -o route get "+bridge+" | sed 's/.* dev \\([^ ]*\\).*/\\1/')")
	for host := 2; host <= 3; host++ {
		l.mustSh(host, "ip route add blackhole "+address(1)+"/32")
	}
	c.want(0, c.ssh("deploy", "--timeout", "3m", "master="+address(1), "agent="+address(2), "public-agent="+address(3))...)
	wantAllChecksOK(t, c, 3)
	wantMessage(t, l, 2, 2)
	trust := filepath.Join(c.dir, "ca.pem")
	writeFile(t, trust, ca.pem)
	if _, err := etcd("https://"+address(3)+":2379", "--cacert", trust, "put", "greeting", "hello"); err != nil {
		t.Error(err)
	}
	if out, err := etcd("http://"+address(3)+":2379", "get", "greeting"); err == nil {
		t.Errorf("the public agent offers the store without TLS: %s", out)
	}
	if out, err := etcd("http://10.77.0.250:2379", "get", "--print-value-only", "greeting"); err != nil || strings.TrimSpace(out) != "hello" {
		t.Errorf("what was written through HAProxy is %q at the endpoint (error %v)", out, err)
	}
	for host := 2; host <= 3; host++ {
		if found, err := l.sh(host, "grep -rlF "+address(1)+" /opt/demo/generations /etc/systemd/system"); err == nil {
			t.Errorf("host%d knows the master's own address from %s", host, found)
		}
	}
}

// etcd runs etcdctl outside of the hosts.
func etcd(endpoints string, args ...string) (string, error) {
	out, err := exec.Command(datacenterProgram("etcdctl"), append([]string{"--dial-timeout=3s", "--command-timeout=5s", "--endpoints=" + endpoints}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("etcdctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// bus runs the bundle's program outside of the hosts.
func bus(args ...string) error {
	if out, err := exec.Command(datacenterProgram("bus"), args...).CombinedOutput(); err != nil {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return nil
}

func wantAllChecksOK(t *testing.T, c *coordinator, n int) {
	t.Helper()
	s := c.status()
	if len(s.Hosts) != n || s.Cluster.Phases["done"] != n {
		t.Errorf("status shows %d hosts and the phases %v, want %d that are done", len(s.Hosts), s.Cluster.Phases, n)
	}
	for number := 1; number <= n; number++ {
		last := c.checksOf(number)
		if len(last) < 20 {
			t.Errorf("host%d was checked only for %v", number, last)
		}
		for name, status := range last {
			if !strings.HasPrefix(status, "ok") {
				t.Errorf("check %s of host%d is %s", name, number, status)
			}
		}
	}
}

// wantMessage sends on the bus of one agent until it is heard on that of another; between the two are the masters.
func wantMessage(t *testing.T, l *lab, from, to int) {
	t.Helper()
	heard := make(chan error, 1)
	text := fmt.Sprint("message ", time.Now().UnixNano())
	go func() {
		out, err := l.sh(to, "/opt/demo/current/bin/bus listen --timeout 30s --server nats://127.0.0.1:4222 site.test")
		if err == nil && out != text {
			err = fmt.Errorf("heard %q", out)
		}
		heard <- err
	}()
	for {
		if _, err := l.sh(from, "/opt/demo/current/bin/bus send --server nats://127.0.0.1:4222 site.test '"+text+"'"); err != nil {
			t.Error(err)
		}
		select {
		case err := <-heard:
			if err != nil {
				t.Errorf("a message from host%d to host%d: %v", from, to, err)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// wantForwarded writes through the public agent and reads at the masters.
func wantForwarded(t *testing.T, masters string) {
	t.Helper()
	value := fmt.Sprint(time.Now().UnixNano())
	eventually(t, 30*time.Second, "a key that is written through HAProxy is read at the masters", func() error {
		if _, err := etcd("http://"+address(6)+":2379", "put", "greeting", value); err != nil {
			return err
		}
		out, err := etcd(masters, "get", "--print-value-only", "greeting")
		if err == nil && strings.TrimSpace(out) != value {
			err = fmt.Errorf("read %q, want %s", out, value)
		}
		return err
	})
}

// wantUsersApart tries the bus through the public agent: nobody without a password, and what is for the superuser to say
// is not for agents.
func wantUsersApart(t *testing.T, l *lab) {
	t.Helper()
	public := "nats://" + address(6) + ":4222"
	login := filepath.Join(l.root(1), "opt/demo/current/etc/superuser.login")
	if target, err := os.Readlink(filepath.Join(l.root(1), "opt/demo/current")); err == nil {
		login = filepath.Join(l.root(1), "opt/demo", target, "etc/superuser.login")
	}
	if err := bus("send", "--login", login, "--server", public, "operator.test", "x"); err != nil {
		t.Errorf("the superuser is refused: %v", err)
	}
	if err := bus("send", "--server", public, "site.test", "x"); err == nil || !strings.Contains(err.Error(), "Authorization") {
		t.Errorf("somebody without a password is taken: %v", err)
	}
	agents := "/opt/demo/current/bin/bus send --login /opt/demo/current/etc/bus.login --server nats://" + address(2) + ":4222 "
	l.mustSh(4, agents+"site.test x")
	if out, err := l.sh(4, agents+"operator.test x"); err == nil || !strings.Contains(err.Error(), "Permissions Violation") {
		t.Errorf("an agent may speak for the superuser: %s, %v", out, err)
	}
	// Nor by its own bus, which asks nobody: listening at a master, nothing comes.
	heard := make(chan error, 1)
	go func() {
		heard <- bus("listen", "--login", login, "--timeout", "3s", "--server", "nats://"+address(1)+":4222", "operator.test")
	}()
	for range 10 {
		l.mustSh(4, "/opt/demo/current/bin/bus send --server nats://127.0.0.1:4222 operator.test x")
	}
	if err := <-heard; err == nil || !strings.Contains(err.Error(), "nothing came") {
		t.Errorf("an agent spoke for the superuser by its own bus: %v", err)
	}
}

// wantSecretsApart looks for the masters' passwords on the other hosts.
func wantSecretsApart(t *testing.T, l *lab) {
	t.Helper()
	password := func(login string) string {
		return l.mustSh(1, "sed -n s/^password=//p /opt/demo/current/etc/"+login)
	}
	agents, superuser := password("bus.login"), password("superuser.login")
	if len(agents) < 20 || len(superuser) < 20 || agents == superuser {
		t.Fatalf("these are no passwords: %d and %d bytes", len(agents), len(superuser))
	}
	for _, tt := range []struct {
		host     int
		password string
		want     bool
	}{{4, agents, true}, {4, superuser, false}, {6, agents, false}, {6, superuser, false}} {
		_, err := l.run([]byte(tt.password), "exec", fmt.Sprint(tt.host), "--", "grep", "-rqFf", "-", "/opt/demo", "/etc/systemd", "/var/lib/demo")
		if found := err == nil; found != tt.want {
			t.Errorf("host%d has a master's password: %v, want %v", tt.host, found, tt.want)
		}
	}
	if mode := l.mustSh(4, "stat -c %a /opt/demo/current/etc/nats.conf /opt/demo/current/etc/bus.login | sort -u"); mode != "600" {
		t.Errorf("files with passwords have the mode %s", mode)
	}
}

// signOrder makes a key, signs a file with it, and gives the public key.
func signOrder(t *testing.T, file string) string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	for _, args := range [][]string{
		{"-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", key},
		{"-q", "-Y", "sign", "-f", key, "-n", "datacenter", file},
	} {
		if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	return strings.TrimSpace(readFile(t, key+".pub"))
}

// authority makes certificates for hosts.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}}
	a.key, a.pem = a.sign(t, a.certificate, nil)
	return a
}

// issue gives a certificate and its key in one text.
func (a authority) issue(t *testing.T, addresses ...string) string {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: addresses[0]},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, address := range addresses {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(address))
	}
	key, text := a.sign(t, c, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return text + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// sign makes a key and a certificate for it, by itself where there is no other key.
func (a authority) sign(t *testing.T, c *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
