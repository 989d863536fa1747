package manifest_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/manifest"
)

// pieces are what a mutation of one seed would hardly come upon: values that are just right and just wrong.
var pieces = []struct{ from, to string }{
	{`"stage": "postflight"`, `"stage": "preflight"`}, {`"severity": "critical"`, `"severity": "warning"`}, {`"script": "echo`, `"probe": "port-free", "with": {"port": "80"}, "x": "echo`},
	{`"bin/etcd"`, `"lib/../x"`}, {`"units/demo-etcd.service"`, `"etc/demo-etcd.service"`}, {`"when": "before-activate"`, `"when": "after-start"`},
	{`"db/wal"`, `"db/../wal"`}, {`"mode": 488`, `"mode": 2541`}, {`"user": "app"`, `"user": "-1"`}, {`"etc/app.conf"`, `"/etc/app.conf"`}, {`"counted": 1`, `"counted": -1`},
	{`"size": 1`, `"size": 9223372036854775807`}, {`"amd64"`, `"arm64"`}, {`"amd64"`, `"mips"`}, {`"timeout": 1000000000`, `"timeout": -1`}, {`"address": "10.0.0.1"`, `"address": "fe80::1%eth0"`},
}

func seeds(f *testing.F, text []byte) {
	f.Helper()
	f.Add(text)
	for _, piece := range pieces {
		if bytes.Contains(text, []byte(piece.from)) {
			f.Add(bytes.Replace(text, []byte(piece.from), []byte(piece.to), 1))
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	m := valid()
	text, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	seeds(f, text)
	m.Packages, m.Units, m.Late, m.Roster, m.Endpoint = nil, m.Units[1:], manifest.LateTable{}, nil, "[fd00::1]:443"
	m.Checks = []manifest.Check{{Name: "port", Stage: manifest.Preflight, Probe: "port-free", With: map[string]string{"port": "80"}, Severity: "warning", Timeout: time.Second, RetryFor: time.Minute, Summary: "s", Remedy: "r"}}
	if text, err = m.Encode(); err != nil {
		f.Fatal(err)
	}
	seeds(f, text)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := manifest.DecodeManifest(data)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if m2, err := manifest.DecodeManifest(again); err != nil || !reflect.DeepEqual(m, m2) {
			t.Errorf("accepted %q, which does not come back: %v", data, err)
		}
		// What hosts make paths of.
		for _, u := range m.Units {
			if strings.Contains(strings.TrimPrefix(u.Path, "units/"), "/") {
				t.Errorf("the unit %q leads elsewhere", u.Path)
			}
		}
		for _, d := range m.Directories {
			if strings.HasPrefix(d.Path, "/") || strings.Contains("/"+d.Path+"/", "/../") {
				t.Errorf("the directory %q leads elsewhere", d.Path)
			}
		}
		for _, o := range m.Owners {
			if strings.HasPrefix(o.Path, "/") || strings.Contains("/"+o.Path+"/", "/../") {
				t.Errorf("the file %q leads elsewhere", o.Path)
			}
		}
	})
}

func FuzzDecodeGeneration(f *testing.F) {
	blob := manifest.Blob{Digest: digest("b"), Size: 1}
	g := &manifest.Generation{
		Format: 1, Cluster: "demo", ConfigID: manifest.ConfigID(digest("c")), Bundle: manifest.Bundle{Name: "etcd", Version: "1"},
		Coordinator: manifest.Coordinator{Addresses: []string{"10.0.0.1"}, HTTPPort: 8080, GRPCPort: 8443},
		Roles:       []manifest.RoleEntry{{Name: "master", Count: 1, Manifest: blob}, {Name: "agent", After: []manifest.Role{"master"}, Select: map[string]string{"a": "b"}, Manifest: blob}},
		Hosts:       []manifest.Listed{{Address: "10.0.0.1", Role: "master", Labels: map[string]string{"zone": "a"}}, {CIDR: "10.1.0.0/16", Role: "agent"}},
		Secrets: []manifest.Secret{
			{Name: "key", Roles: []manifest.Role{"master"}, Generate: &manifest.Recipe{Bytes: 32, Format: "hex"}, PerHost: true},
			{Name: "word", Roles: []manifest.Role{"agent"}, Given: &manifest.Form{Format: "line", MinLength: 8}},
		},
		Agents: map[manifest.Arch]manifest.Blob{"amd64": blob}, Files: map[string]manifest.Blob{"install.sh": blob}, SSH: manifest.SSH{User: "admin", Port: 22},
		Signing: &manifest.Signing{ID: "demo", Keys: []string{"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}, Threshold: 1, Expires: time.Hour},
	}
	text, err := g.Encode()
	if err != nil {
		f.Fatal(err)
	}
	seeds(f, text)
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := manifest.DecodeGeneration(data)
		if err != nil {
			return
		}
		again, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if g2, err := manifest.DecodeGeneration(again); err != nil || !reflect.DeepEqual(g, g2) {
			t.Errorf("accepted %q, which does not come back: %v", data, err)
		}
	})
}
