package checks_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/checks"
)

// root makes a directory with files that stand for those of a host.
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if link, ok := strings.CutPrefix(content, "→"); ok {
			if err := os.Symlink(link, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const mountinfo = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 8:2 / /proc rw - xfs /dev/sdb1 rw
23 21 8:3 / /var\040x rw - btrfs /dev/sdc rw
24 21 8:4 / /proc rw - zfs pool rw
25 24 8:5 / /proc/sys rw master:3 - tmpfs none rw
broken line
`

func TestProbesThatLookAtAHost(t *testing.T) {
	offset := func(d time.Duration, known bool) func() (time.Duration, bool) {
		return func() (time.Duration, bool) { return d, known }
	}
	memory := map[string]string{"proc/meminfo": "MemTotal:       8000000 kB\nMemFree: 1 kB\nMemAvailable:    4000000 kB\n"}
	systemd := func(version string) map[string]string {
		return map[string]string{"run/systemd/system/": "", "bin/systemctl": "#!/bin/sh\necho '" + version + "'\n"}
	}
	kernel := map[string]string{"proc/sys/kernel/osrelease": "5.14.0-427.el9.x86_64\n"}
	host := func(name string) map[string]string { return map[string]string{"proc/sys/kernel/hostname": name + "\n"} }
	mounts := map[string]string{"proc/self/mountinfo": mountinfo}
	tests := []struct {
		name   string
		probe  string
		with   map[string]string
		files  map[string]string
		env    checks.Environment
		status checks.Status
		want   string
	}{
		{"memory is enough", "memory", args("min", "7GiB"), memory, checks.Environment{}, checks.OK, "7.6 GiB of memory, 7 GiB are needed"},
		{"memory is not enough", "memory", args("min", "8GiB"), memory, checks.Environment{}, checks.Critical, "7.6 GiB of memory, 8 GiB are needed"},
		{"memory cannot be read", "memory", args("min", "8GiB"), nil, checks.Environment{}, checks.Unknown, "meminfo"},
		{"the clock agrees", "clock", args("max_offset", "500ms"), nil, checks.Environment{ClockOffset: offset(400*time.Millisecond, true)}, checks.OK, "400ms behind"},
		{"the clock is behind", "clock", args("max_offset", "500ms"), nil, checks.Environment{ClockOffset: offset(2*time.Second, true)}, checks.Critical, "2s behind"},
		{"the clock is ahead", "clock", args("max_offset", "500ms"), nil, checks.Environment{ClockOffset: offset(-time.Hour, true)}, checks.Critical, "1h0m0s ahead"},
		{"the clock's offset is not known", "clock", args("max_offset", "1s"), nil, checks.Environment{ClockOffset: offset(0, false)}, checks.Unknown, "not known"},
		{"there is no clock to compare with", "clock", args("max_offset", "1s"), nil, checks.Environment{}, checks.OK, "no other clock"},
		{"systemd runs the host", "systemd", nil, systemd("systemd 252"), checks.Environment{}, checks.OK, "runs"},
		{"systemd does not run the host", "systemd", nil, nil, checks.Environment{}, checks.Critical, "does not run"},
		{"systemd is new enough", "systemd", args("min_version", "239"), systemd("systemd 252 (252.22-1~deb12u1)"), checks.Environment{}, checks.OK, "252"},
		{"versions are compared as numbers", "systemd", args("min_version", "1000"), systemd("systemd 252"), checks.Environment{}, checks.Critical, "at least 1000"},
		{"systemd is not new enough", "systemd", args("min_version", "253"), systemd("systemd 252"), checks.Environment{}, checks.Critical, "at least 253"},
		{"systemd's version makes no sense", "systemd", args("min_version", "1"), systemd("hello"), checks.Environment{}, checks.Unknown, "version"},
		{"the kernel is new enough", "kernel", args("min_version", "5.14"), kernel, checks.Environment{}, checks.OK, "5.14.0-427.el9.x86_64"},
		{"5.14 is newer than 5.9", "kernel", args("min_version", "5.9"), kernel, checks.Environment{}, checks.OK, ""},
		{"the kernel is not new enough", "kernel", args("min_version", "5.14.1"), kernel, checks.Environment{}, checks.Critical, "at least 5.14.1"},
		{"a proper host name", "host-name", nil, host("web-1.example.org"), checks.Environment{}, checks.OK, "web-1"},
		{"localhost", "host-name", nil, host("localhost.localdomain"), checks.Environment{}, checks.Critical, "every host has"},
		{"no host name", "host-name", nil, host("(none)"), checks.Environment{}, checks.Critical, "no name"},
		{"a host name that is no DNS name", "host-name", nil, host("a_b\x1b"), checks.Environment{}, checks.Critical, "not a DNS name"},
		{"all commands are there", "commands", args("names", "one, two"), map[string]string{"bin/one": "", "bin/two": ""}, checks.Environment{}, checks.OK, "all 2"},
		{"a command is missing", "commands", args("names", "one,three,four"), map[string]string{"bin/one": ""}, checks.Environment{}, checks.Critical, "three, four"},
		{"a directory is no command", "commands", args("names", "dir"), map[string]string{"bin/dir/": ""}, checks.Environment{}, checks.Critical, "dir"},
		{"the deepest, last mount decides", "file-system", args("path", "/proc/self", "types", "zfs"), mounts, checks.Environment{}, checks.OK, "zfs (mounted at /proc)"},
		{"a path that does not exist is on its parent's mount", "file-system", args("path", "/proc/sys/nothing/here", "types", "tmpfs"), mounts, checks.Environment{}, checks.OK, "tmpfs"},
		{"another type", "file-system", args("path", "/proc", "types", "ext4,xfs"), mounts, checks.Environment{}, checks.Critical, "ext4 or xfs is needed"},
		{"mounts cannot be read", "file-system", args("path", "/proc", "types", "ext4"), nil, checks.Environment{}, checks.Unknown, "mountinfo"},
		{"entries have types", "file-system", args("path", "/", "types", "ext4", "ftype", "1"), mounts, checks.Environment{}, checks.OK, "ext4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := tt.env
			env.Root = root(t, tt.files)
			env.Path = env.Root + "/bin"
			r := run(t, checks.Definition{Probe: tt.probe, With: tt.with}, env)
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.want) {
				t.Errorf("got %v, %q; want %v, %q", r.Status, r.Summary, tt.status, tt.want)
			}
		})
	}
}

func TestProbesThatLookAtPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"empty", "mounted/lost+found", "full/x"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, probe string
		with        map[string]string
		resuming    bool
		status      checks.Status
		want        string
	}{
		{"room in a directory to come", "disk-space", args("path", dir+"/a/b", "min", "1KiB"), false, checks.OK, "1 KiB are needed"},
		{"no room", "disk-space", args("path", dir, "min", "1000TiB"), false, checks.Critical, "1000 TiB are needed"},
		{"a path is absent", "absent", args("path", dir+"/none"), false, checks.OK, "does not exist"},
		{"an empty directory is as good", "absent", args("path", dir+"/empty"), false, checks.OK, "is empty"},
		{"an empty file system is as good", "absent", args("path", dir+"/mounted"), false, checks.OK, "is empty"},
		{"a path is present", "absent", args("path", dir+"/full"), false, checks.Critical, "exists already"},
		{"a file is present", "absent", args("path", dir+"/file"), false, checks.Critical, "exists already"},
		{"a path is present from the same installation", "absent", args("path", dir+"/full"), true, checks.OK, "going on"},
		{"a writable directory", "writable", args("path", dir+"/none"), false, checks.OK, dir},
		{"a file instead of a directory", "writable", args("path", dir+"/file/x"), false, checks.Critical, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, checks.Definition{Probe: tt.probe, With: tt.with}, checks.Environment{Resuming: tt.resuming})
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.want) {
				t.Errorf("got %v, %q; want %v, %q", r.Status, r.Summary, tt.status, tt.want)
			}
		})
	}
}

func TestMountOptionsAndInodes(t *testing.T) {
	tests := []struct {
		name, options string
		flags         uintptr
		probe         string
		with          []string
		status        checks.Status
		want          string
	}{
		{"read-only", "", unix.MS_RDONLY, "writable", nil, checks.Critical, "read-only"},
		{"noexec", "", unix.MS_NOEXEC, "writable", []string{"exec", "yes"}, checks.Critical, "noexec"},
		{"noexec does not matter", "", unix.MS_NOEXEC, "writable", nil, checks.OK, "writable"},
		{"no inodes are left", "nr_inodes=1", 0, "disk-space", []string{"min", "1KiB"}, checks.Critical, "0 inodes free"},
		{"too few inodes are left", "nr_inodes=10", 0, "disk-space", []string{"min", "1KiB", "inodes", "100"}, checks.Critical, "9 inodes free, 100 are needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", tt.flags, tt.options); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: mount options need a mount, which needs root: %v", err)
			}
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			r := run(t, checks.Definition{Probe: tt.probe, With: args(append([]string{"path", dir}, tt.with...)...)}, checks.Environment{})
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.want) {
				t.Errorf("got %v, %q; want %v, %q", r.Status, r.Summary, tt.status, tt.want)
			}
		})
	}
}

func TestPortFree(t *testing.T) {
	for _, network := range []string{"tcp4 127.0.0.1:0", "tcp4 0.0.0.0:0", "tcp6 [::1]:0", "tcp [::]:0"} {
		t.Run("a port is held by a listener on "+network, func(t *testing.T) {
			kind, address, _ := strings.Cut(network, " ")
			l, err := net.Listen(kind, address)
			if err != nil {
				t.Skipf("SKIPPED, NOT TESTED: %v", err)
			}
			port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
			r := run(t, checks.Definition{Probe: "port-free", With: args("port", port)}, checks.Environment{})
			want := fmt.Sprintf("(pid %d", os.Getpid())
			if r.Status != checks.Critical || !strings.Contains(r.Summary, "port "+port) || !strings.Contains(r.Summary, want) {
				t.Errorf("got %v, %q; want critical with the port and %q", r.Status, r.Summary, want)
			}
			l.Close()
			if r := run(t, checks.Definition{Probe: "port-free", With: args("port", port)}, checks.Environment{}); r.Status != checks.OK {
				t.Errorf("after it was closed: %v, %q", r.Status, r.Summary)
			}
		})
	}
	t.Run("the addresses of listener and check matter", func(t *testing.T) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		for address, want := range map[string]checks.Status{
			"127.0.0.1": checks.Critical, "0.0.0.0": checks.Critical, "127.0.0.2": checks.OK, "::1": checks.OK, "192.0.2.1": checks.Critical,
		} {
			if r := run(t, checks.Definition{Probe: "port-free", With: args("port", port, "address", address)}, checks.Environment{}); r.Status != want {
				t.Errorf("%s: got %v, %q; want %v", address, r.Status, r.Summary, want)
			}
		}
	})
	t.Run("of several ports, those are named that are taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken, other := l.Addr().(*net.TCPAddr).Port, free.Addr().(*net.TCPAddr).Port
		free.Close()
		r := run(t, checks.Definition{Probe: "port-free", With: args("port", fmt.Sprintf("%d,%d", other, taken))}, checks.Environment{})
		if r.Status != checks.Critical || !strings.Contains(r.Summary, fmt.Sprint(taken)) || strings.Contains(r.Summary, fmt.Sprint(other)) {
			t.Errorf("got %v, %q", r.Status, r.Summary)
		}
	})
	t.Run("a connection that holds the port is told from a listener", func(t *testing.T) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		port := strconv.Itoa(c.LocalAddr().(*net.TCPAddr).Port)
		r := run(t, checks.Definition{Probe: "port-free", With: args("port", port)}, checks.Environment{})
		if r.Status != checks.Critical || !strings.Contains(r.Summary, "connection") || !strings.Contains(r.Remedy, "ip_local_reserved_ports") {
			t.Errorf("got %v, %q, %q", r.Status, r.Summary, r.Remedy)
		}
	})
}

func TestTheKernelsTablesAreReadRightly(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(local, state, inode string) string {
		return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0 100 0 0 10 0\n"
	}
	v6 := strings.Repeat("0", 32)
	// A port that is not in use here, whatever the tables say.
	port := 64222
	low, high := fmt.Sprintf("%04x", port), fmt.Sprintf("%04X", port)
	process := map[string]string{
		"proc/77/comm": "ngi\x1bnx\n", "proc/77/fd/3": "→socket:[4711]", "proc/77/cgroup": "0::/system.slice/nginx.service\n",
	}
	tests := []struct {
		name, tcp, tcp6, address string
		status                   checks.Status
		want                     string
	}{
		{"no one listens", "", "", "", checks.OK, "free"},
		{"digits in lower case", line("0100007F:"+low, "0a", "4711"), "", "", checks.Critical, `ngi\x1bnx (pid 77, nginx.service), which listens on 127.0.0.1:64222`},
		{"digits in upper case", line("0100007F:"+high, "0A", "4711"), "", "", checks.Critical, "nginx.service"},
		{"another state is not listening", line("0100007F:"+high, "01", "4711"), "", "", checks.OK, "free"},
		{"another port", line("0100007F:0050", "0A", "4711"), "", "", checks.OK, "free"},
		{"a listener over IPv6", "", line(v6+":"+high, "0A", "4711"), "", checks.Critical, "[::]:64222"},
		{"an IPv4 address within IPv6", "", line("0000000000000000FFFF00000100007F:"+high, "0A", "4711"), "", checks.Critical, "127.0.0.1:64222"},
		{"a process that cannot be seen", line("00000000:"+high, "0A", "1"), "", "", checks.Critical, "cannot be seen"},
		{"a listener on another address", line("0200007F:"+high, "0A", "4711"), "", "127.0.0.1", checks.OK, "free"},
		{"a listener on all addresses", line("00000000:"+high, "0A", "4711"), "", "127.0.0.1", checks.Critical, "0.0.0.0:64222"},
		{"lines that make no sense", "x\n: : :\n" + line("ZZ:"+high, "0A", "1") + line("0100:"+high, "0A", "1"), "", "", checks.OK, "free"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"proc/net/tcp": head + tt.tcp, "proc/net/tcp6": head + tt.tcp6}
			for k, v := range process {
				files[k] = v
			}
			with := args("port", fmt.Sprint(port))
			if tt.address != "" {
				with["address"] = tt.address
			}
			r := run(t, checks.Definition{Probe: "port-free", With: with}, checks.Environment{Root: root(t, files)})
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.want) {
				t.Errorf("got %v, %q; want %v, %q", r.Status, r.Summary, tt.status, tt.want)
			}
		})
	}
}

func TestStandardChecks(t *testing.T) {
	defs := append(checks.Standard("demo"), checks.Room("demo", 1<<20, 10))
	seen := map[string]bool{}
	for _, d := range defs {
		if err := checks.ValidateArgs(d.Probe, d.With); err != nil {
			t.Errorf("%s: %v", d.Name, err)
		}
		if seen[d.Name] || d.Stage != checks.Preflight || d.Summary == "" || d.Timeout <= 0 || !strings.HasPrefix(d.Name, "host.") {
			t.Errorf("%+v is not complete, or its name is used twice", d)
		}
		seen[d.Name] = true
	}
	// On this machine, whatever it is, each gives an answer.
	for _, r := range checks.Run(t.Context(), defs, checks.Environment{WorkDir: t.TempDir()}, nil) {
		t.Logf("%-16s %-8v %s", r.Name, r.Status, r.Summary)
		if r.Status == checks.Unknown {
			t.Errorf("%+v", r)
		}
	}
}

// args makes a map of names and values.
func args(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}
