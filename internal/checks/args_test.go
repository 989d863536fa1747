package checks_test

import (
	"encoding/json"
	"strings"
	"testing"

	"muster/internal/checks"
)

func TestValidateArgs(t *testing.T) {
	tests := []struct {
		name  string
		probe string
		with  map[string]string
		want  []string // parts of the error; none if it is valid
	}{
		{"a port", "port-free", args("port", "80"), nil},
		{"several ports and an address", "port-free", args("port", "80, 443,65535", "address", "::1"), nil},
		{"room", "disk-space", args("path", "/var/lib/x", "min", "1.5GiB", "inodes", "1000"), nil},
		{"a version", "kernel", args("min_version", "3.10"), nil},
		{"a probe without arguments", "root", nil, nil},
		{"an optional argument left out", "systemd", map[string]string{}, nil},
		{"an unknown probe is told with the known ones", "prot-free", nil, []string{`"prot-free"`, "port-free", "disk-space"}},
		{"a missing argument", "port-free", nil, []string{"port is missing"}},
		{"an empty argument", "memory", args("min", " "), []string{"min is missing"}},
		{"an empty optional argument", "systemd", args("min_version", ""), []string{"min_version is empty"}},
		{"an unknown argument is told with the known ones", "memory", args("min", "1GiB", "max", "2GiB"), []string{`"max" is not an argument`, "there are min"}},
		{"an argument where none is known", "root", args("x", "y"), []string{"there are none"}},
		{"all mistakes at once", "disk-space", args("path", "var", "inodes", "-1"), []string{`"var"`, "min is missing", `"-1"`}},
		{"port 0", "port-free", args("port", "0"), []string{"between 1 and 65535"}},
		{"port 65536", "port-free", args("port", "65536"), []string{"between 1 and 65535"}},
		{"port abc", "port-free", args("port", "80,abc"), []string{`"abc"`}},
		{"a port twice", "port-free", args("port", "80,80"), []string{"twice"}},
		{"an empty port", "port-free", args("port", "80,,443"), []string{"empty item"}},
		{"a host name as address", "port-free", args("port", "80", "address", "localhost"), []string{"not an IP address"}},
		{"a zone in an address", "port-free", args("port", "80", "address", "fe80::1%eth0"), []string{"not an IP address"}},
		{"a relative path", "disk-space", args("path", "opt", "min", "1GiB"), []string{"absolute path"}},
		{"a path with a detour", "disk-space", args("path", "/opt/../etc", "min", "1GiB"), []string{"absolute path"}},
		{"a unit that is not known", "memory", args("min", "8G"), []string{"8G", "512MiB"}},
		{"a negative size", "memory", args("min", "-8GiB"), []string{"-8GiB"}},
		{"a size of nothing", "memory", args("min", "0"), []string{"always there"}},
		{"a size beyond measure", "memory", args("min", "99999999999TiB"), []string{"99999999999TiB"}},
		{"a duration without a unit", "clock", args("max_offset", "500"), []string{"500ms"}},
		{"a duration below zero", "clock", args("max_offset", "-1s"), []string{"-1s"}},
		{"a version with a letter", "kernel", args("min_version", "v5"), []string{"v5"}},
		{"a version with a tail", "kernel", args("min_version", "5.14-1"), []string{"numbers only"}},
		{"a path as a command", "commands", args("names", "/bin/sh"), []string{"plain name"}},
		{"a command with a blank", "commands", args("names", "rm -rf"), []string{"plain name"}},
		{"another ftype", "file-system", args("path", "/", "types", "xfs", "ftype", "0"), []string{"only value"}},
		{"another exec", "writable", args("path", "/", "exec", "true"), []string{"only value"}},
		{"an escape sequence is not repeated as it is", "memory", args("min", "\x1b[2J", "\x1b", "x"), []string{`\x1b`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checks.ValidateArgs(tt.probe, tt.with)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v, want an error: %v", err, tt.want != nil)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%q is not one harmless line", err)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "1KiB": 1024, "1KB": 1000, "512MiB": 512 << 20, "10GB": 10_000_000_000, "1.5GiB": 3 << 29, "1 GiB": 1 << 30, "2TiB": 2 << 40,
	} {
		if got, err := checks.ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "1gib", "1G", "-1", "1e3", "0x10", "1..5GiB", ".", "NaN", "Inf", "9223372036854775808", "8388608TiB", "1_000"} {
		if got, err := checks.ParseBytes(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1 << 30: "1 GiB", 1<<30 - 1: "1023.9 MiB", 3 << 29: "1.5 GiB"} {
		if got := checks.FormatBytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestEveryProbeIsDescribed(t *testing.T) {
	last := ""
	for _, p := range checks.Probes() {
		if p.Summary == "" || p.Name <= last {
			t.Errorf("probe %q has no summary or is out of order", p.Name)
		}
		last = p.Name
		for _, a := range p.Args {
			if a.Summary == "" {
				t.Errorf("argument %s of probe %s has no summary", a.Name, p.Name)
			}
		}
	}
}

// FuzzArgs takes any arguments for any probe: they are refused in one harmless line, or mean the same when read again.
func FuzzArgs(f *testing.F) {
	for _, p := range checks.Probes() {
		f.Add(p.Name, `{}`)
	}
	f.Add("port-free", `{"port":"80,443","address":"::ffff:127.0.0.1"}`)
	f.Add("disk-space", `{"path":"/opt","min":"1.5GiB","inodes":"7"}`)
	f.Add("kernel", `{"min_version":"5.14"}`)
	f.Add("file-system", `{"path":"/","types":"xfs,ext4","ftype":"1"}`)
	f.Add("clock", `{"max_offset":"1h"}`)
	f.Fuzz(func(t *testing.T, probe, with string) {
		var m map[string]string
		if json.Unmarshal([]byte(with), &m) != nil {
			m = map[string]string{"port": with, "min": with, "path": with, "names": with, "min_version": with, "max_offset": with, "address": with}
		}
		err := checks.ValidateArgs(probe, m)
		if err == nil {
			for k, v := range m {
				if strings.ContainsAny(k+v, "\x00\x1b") {
					t.Errorf("%q=%q was accepted", k, v)
				}
			}
			return
		}
		for _, c := range err.Error() {
			if c < ' ' || c == 0x7f {
				t.Errorf("%q is not one harmless line", err)
			}
		}
	})
}
