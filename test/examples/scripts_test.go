package examples

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/render"
)

// script renders one of the bundle's scripts, as it is for an agent at 10.0.0.21.
func script(t *testing.T, name string, params map[string]any) string {
	t.Helper()
	dir := unbuilt(t)
	write(t, filepath.Join(dir, "cluster.yaml"), read(t, filepath.Join(datacenter, "cluster.yaml")))
	cluster, problems := config.LoadCluster(filepath.Join(dir, "cluster.yaml"))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	all := maps.Clone(cluster.Parameters)
	maps.Copy(all, params)
	space := late.NewSpace(late.Marker([32]byte{}), late.Spec{Endpoint: true})
	out, err := render.New(render.Context{
		Param: all, Role: render.RoleInfo{Name: "agent"},
		Cluster: render.ClusterInfo{Name: "demo", Root: "/opt/demo", Data: "/var/lib/demo", Discovery: "endpoint"},
	}, space).Render(name, []byte(read(t, filepath.Join(datacenter, name))))
	if err != nil {
		t.Fatal(err)
	}
	endpoint, given := params["endpoint"].(string)
	if !given {
		endpoint = "10.0.0.9"
	}
	bound, err := late.Bind(space.Table(), late.Values{"Host.Address": "10.0.0.21", "Endpoint": endpoint}, out)
	if err != nil {
		t.Fatal(err)
	}
	return string(bound)
}

// run runs a script with programs in place of the host's, and gives its exit code and its first line.
func run(t *testing.T, text string, programs map[string]string, env ...string) (int, string) {
	t.Helper()
	dir := t.TempDir()
	for name, body := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/bin/sh", "-s")
	cmd.Stdin = strings.NewReader(text)
	cmd.Env = append([]string{"PATH=" + dir + ":/usr/bin:/bin", "LC_ALL=C.UTF-8"}, env...)
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return cmd.ProcessState.ExitCode(), first
}

func TestChecksTellWhatIsWrong(t *testing.T) {
	type params = map[string]any
	type programs = map[string]string
	docker := params{"container_runtime": "docker", "container_runtime_min_version": "20.10"}
	active := `[ "$1" != is-active ] || echo active`
	for _, tt := range []struct {
		name, script string
		params       params
		programs     programs
		code         int
		want         string
	}{
		{"no docker", "container-runtime", params{"container_runtime": "nerdctl-x"}, nil, 2, "nerdctl-x is not installed: there is no such command in "},
		{"docker is stopped", "container-runtime", docker, programs{"docker": "echo Docker version 24.0.7, build x", "systemctl": "echo inactive; exit 3"}, 2, "docker is installed, but its service is inactive"},
		{"docker that systemd does not know", "container-runtime", docker, programs{"docker": "", "systemctl": "exit 4"}, 2, "docker is installed, but its service is unknown to systemd"},
		{"an old docker", "container-runtime", docker, programs{"docker": "echo Docker version 1.13.1, build x", "systemctl": active}, 2, "docker is version 1.13.1, at least 20.10 is needed"},
		{"a docker that is old as text, not as a version", "container-runtime", params{"container_runtime": "docker", "container_runtime_min_version": "9.0"}, programs{"docker": "echo Docker version 20.10.24+dfsg1, build x", "systemctl": active}, 0, "docker 20.10.24 is installed and running"},
		{"the very version", "container-runtime", docker, programs{"docker": "echo Docker version 20.10, build x", "systemctl": active}, 0, "docker 20.10 is installed and running"},
		{"a docker without a version", "container-runtime", docker, programs{"docker": "echo oops >&2; exit 1", "systemctl": active}, 3, "docker does not say its version"},
		{"podman, which has no service", "container-runtime", params{"container_runtime": "podman"}, programs{"podman": "echo podman version 4.3.1", "systemctl": "exit 4"}, 0, "podman 4.3.1 is installed and running"},
		{"no runtime is asked for", "container-runtime", nil, nil, 0, "not asked for (container_runtime: none, from 1.6 on)"},
		{"sort of busybox", "sort", nil, programs{"sort": "cat"}, 2, "sort -V puts 1.10 first of 1.10 and 1.9"},
		{"a sort that fails", "sort", nil, programs{"sort": "echo 'sort: invalid option' >&2; exit 1"}, 2, "sort -V puts sort: invalid option first of 1.10 and 1.9"},
		{"sort of coreutils", "sort", nil, nil, 0, "sort -V compares versions"},
		{"a clock that is not synchronised", "time", params{"check_time": true}, programs{"timedatectl": "echo no"}, 1, "the clock is not synchronised (timedatectl: no)"},
		{"the same where security is strict", "time", params{"check_time": true, "security": "strict"}, programs{"timedatectl": "echo no"}, 2, "the clock is not synchronised (timedatectl: no)"},
		{"a synchronised clock", "time", params{"check_time": true}, programs{"timedatectl": "echo yes"}, 0, "the clock is synchronised"},
		{"too few processors", "cpus", params{"min_cpus": 4}, programs{"nproc": "echo 2"}, 1, "2 processors, 4 are wanted"},
		{"enough processors", "cpus", params{"min_cpus": 4}, programs{"nproc": "echo 16"}, 0, "16 processors, 4 are wanted"},
		{"a group that is missing", "groups", params{"required_groups": []any{"root", "no-such-group"}}, nil, 2, "missing: no-such-group"},
		{"groups that are there", "groups", params{"required_groups": []any{"root", "daemon"}}, nil, 0, "2 groups are asked for, all exist"},
		{"no groups", "groups", nil, nil, 0, "0 groups are asked for, all exist"},
		{"a library that is missing", "libraries", nil, programs{"ldconfig": "printf '%s (x) => y\\n' libssl.so.3 libcrypto.so.3 libcrypt.so.1 libsystemd.so.0 libstdc++.so.6"}, 2, "missing: libpcre2-8.so.0"},
		{"all libraries", "libraries", nil, programs{"ldconfig": "printf '%s (x) => y\\n' libssl.so.3 libcrypto.so.3 libpcre2-8.so.0 libcrypt.so.1 libsystemd.so.0 libstdc++.so.6"}, 0, "all libraries are there"},
		{"no driver", "gpu", params{"gpu": "nvidia"}, nil, 2, "the driver is not installed: there is no command nvidia-smi"},
		{"a driver that does not answer", "gpu", params{"gpu": "nvidia"}, programs{"nvidia-smi": "exit 9"}, 2, "the driver does not answer"},
		{"two cards", "gpu", params{"gpu": "nvidia"}, programs{"nvidia-smi": "echo a; echo b"}, 0, "2 processors for graphics"},
		{"an overlay network that is used", "overlay-network", params{"overlay_enabled": true, "overlay_network": "172.30.0.0/16"}, programs{"ip": `[ "$1 $2" != "route show" ] || echo 172.30.4.0/24 dev eth1`}, 2, "172.30.0.0/16 is used already on this host, whose address is 10.0.0.21"},
		{"an overlay network on a second try", "overlay-network", params{"overlay_enabled": true, "overlay_network": "172.30.0.0/16"}, programs{"ip": `[ "$1 $2" != "route show" ] || echo 172.30.0.0/16 dev overlay0 scope link`}, 0, "172.30.0.0/16 is not used on this host"},
		{"SELinux in another mode", "selinux", params{"selinux": "enforcing"}, programs{"cat": "echo 0"}, 2, "SELinux is "},
		{"no overlay file system", "overlay", docker, programs{"grep": "exit 1", "modprobe": "exit 1", "uname": "echo 3.10"}, 2, "Linux 3.10 has neither the overlay file system nor its module"},
		{"an overlay file system that can be loaded", "overlay", docker, programs{"grep": "exit 1", "modprobe": `[ "$1" = --dry-run ]`}, 0, "Linux can load the overlay file system"},
		{"a certificate that is missing", "tls-files", params{"bus_tls": map[string]any{"ca": "/etc/passwd", "certificate": "/etc/passwd", "key": "/nowhere/key.pem"}}, nil, 2, "bus_tls.key: /nowhere/key.pem is not a file, or is empty"},
		{"certificates", "tls-files", params{"bus_tls": map[string]any{"ca": "/etc/passwd", "certificate": "/etc/passwd", "key": "/etc/passwd"}}, nil, 0, "3 files"},
		{"a directory that is missing", "backup-dir", params{"backup_dir": "/srv/no-such"}, nil, 2, "/srv/no-such is not a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, said := run(t, script(t, "checks/"+tt.script+".sh", tt.params), tt.programs)
			if code != tt.code || !strings.HasPrefix(said, tt.want) {
				t.Errorf("ended with %d: %s\nwant %d: %s", code, said, tt.code, tt.want)
			}
		})
	}
}

func TestTheServicesFileOfNameServers(t *testing.T) {
	for name, tt := range map[string]struct {
		params map[string]any
		code   int
		want   string
	}{
		"addresses, with and without a port": {
			map[string]any{"resolvers": []any{"10.0.0.2", "10.0.0.3:5353", "10.0.0.4:53"}, "dns_search": []any{"a.example", "b.example"}, "dns_forward_timeout": "1500ms"},
			0, "nameserver 10.0.0.2\nnameserver 10.0.0.4\nsearch a.example b.example\noptions timeout:2 attempts:2\n",
		},
		"addresses of IPv6": {
			map[string]any{"resolvers": []any{"fd00::2", "[fd00::3]:53", "[fd00::4]:5353"}, "dns_search": []any{}, "dns_forward_timeout": "500ms"},
			0, "nameserver fd00::2\nnameserver fd00::3\noptions timeout:1 attempts:2\n",
		},
		"none on port 53": {map[string]any{"resolvers": []any{"10.0.0.3:5353"}}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "names"), 0o755); err != nil {
				t.Fatal(err)
			}
			code, said := run(t, script(t, "steps/resolv-conf.sh", tt.params), nil, "MUSTER_DATA="+dir)
			got, _ := os.ReadFile(filepath.Join(dir, "names/resolv.conf"))
			if code != tt.code || string(got) != tt.want {
				t.Errorf("ended with %d (%s) and wrote\n%s\nwant %d and\n%s", code, said, got, tt.code, tt.want)
			}
		})
	}
}

func TestAnEndpointHasNoPort(t *testing.T) {
	for endpoint, want := range map[string]int{
		"10.0.0.9": 0, "localhost": 0, "fd00::9": 0, "10.0.0.9:6443": 1, "localhost:6443": 1, "[fd00::9]:6443": 1, "no-such-host.invalid": 1,
	} {
		getent := map[string]string{"getent": `case $2 in *.invalid) exit 2 ;; esac; echo 10.0.0.9 STREAM`}
		if code, said := run(t, script(t, "steps/endpoint.sh", map[string]any{"endpoint": endpoint}), getent); code != want {
			t.Errorf("the endpoint %s: ended with %d, want %d: %s", endpoint, code, want, said)
		}
	}
}
