package manifest_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/manifest"
)

func digest(c string) manifest.Digest { return manifest.Digest(strings.Repeat(c, 64)) }

func valid() *manifest.Manifest {
	return &manifest.Manifest{
		Format: 1, Cluster: "demo", ConfigID: manifest.ConfigID(digest("c")), Bundle: manifest.Bundle{Name: "etcd", Version: "1"},
		Role: "master", Counted: 1,
		Packages: []manifest.Package{{
			Name:  "etcd",
			Blobs: map[manifest.Arch]manifest.Blob{"amd64": {Digest: digest("a"), Size: 1, Unpacked: 2, Entries: 3}},
			Links: map[manifest.Arch][]string{"amd64": {"bin/etcd"}},
		}},
		Config:      manifest.Blob{Digest: digest("b"), Size: 1},
		Units:       []manifest.Unit{{Name: "demo-etcd.service", Path: "units/demo-etcd.service"}, {Name: "demo.target", Path: "units/demo.target"}},
		Late:        manifest.LateTable{Marker: "x", Slots: []manifest.Slot{{Ref: "Host.Name", Encode: []string{"json"}}}},
		Checks:      []manifest.Check{{Name: "healthy", Stage: manifest.Postflight, Script: "echo <&> \u2028", Severity: "critical", Timeout: time.Second}},
		Roster:      map[manifest.Role][]manifest.Member{"master": {{Name: "one", Address: "10.0.0.1"}}},
		Steps:       []manifest.Step{{Name: "format", When: manifest.BeforeActivate, Script: "true", Timeout: time.Second, Remedy: "r", Once: true}},
		Owners:      []manifest.OwnedFile{{Path: "etc/app.conf", Owner: manifest.Owner{User: "app", Group: "4711"}}},
		Directories: []manifest.Directory{{Path: "db/wal", Mode: 0o750, Owner: manifest.Owner{User: "app"}}},
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	data, err := valid().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.DecodeManifest(data)
	if err != nil || !reflect.DeepEqual(got, valid()) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestInvalidManifests(t *testing.T) {
	tests := map[string]func(m *manifest.Manifest){
		"format":                      func(m *manifest.Manifest) { m.Format = 2 },
		"cluster":                     func(m *manifest.Manifest) { m.Cluster = "../etc" },
		"config id":                   func(m *manifest.Manifest) { m.ConfigID = "C" },
		"role":                        func(m *manifest.Manifest) { m.Role = "Master" },
		"count":                       func(m *manifest.Manifest) { m.Counted = -1 },
		"digest that is a path":       func(m *manifest.Manifest) { m.Config.Digest = manifest.Digest("../" + strings.Repeat("a", 61)) },
		"digest in upper case":        func(m *manifest.Manifest) { m.Config.Digest = digest("A") },
		"no size":                     func(m *manifest.Manifest) { m.Config.Size = 0 },
		"negative length":             func(m *manifest.Manifest) { m.Config.Unpacked = -1 },
		"two packages of one name":    func(m *manifest.Manifest) { m.Packages = append(m.Packages, m.Packages[0]) },
		"package that is a path":      func(m *manifest.Manifest) { m.Packages[0].Name = "../x" },
		"unknown architecture":        func(m *manifest.Manifest) { m.Packages[0].Blobs["mips"] = m.Config },
		"link out of the generation":  func(m *manifest.Manifest) { m.Packages[0].Links["amd64"] = []string{"bin/../../../etc/passwd"} },
		"link to the parent":          func(m *manifest.Manifest) { m.Packages[0].Links["amd64"] = []string{"bin/.."} },
		"link to a directory":         func(m *manifest.Manifest) { m.Packages[0].Links["amd64"] = []string{"bin/"} },
		"link elsewhere":              func(m *manifest.Manifest) { m.Packages[0].Links["amd64"] = []string{"etc/x"} },
		"absolute link":               func(m *manifest.Manifest) { m.Packages[0].Links["amd64"] = []string{"/bin/x"} },
		"links without blob":          func(m *manifest.Manifest) { m.Packages[0].Links["arm64"] = []string{"bin/x"} },
		"unit of the system":          func(m *manifest.Manifest) { m.Units[0].Name, m.Units[0].Path = "sshd.service", "units/sshd.service" },
		"unit with a path":            func(m *manifest.Manifest) { m.Units[0].Name = "demo-../../x.service" },
		"unit from elsewhere":         func(m *manifest.Manifest) { m.Units[0].Path = "units/../etc/x" },
		"check without stage":         func(m *manifest.Manifest) { m.Checks[0].Stage = "" },
		"check with probe and script": func(m *manifest.Manifest) { m.Checks[0].Probe = "memory" },
		"check without probe":         func(m *manifest.Manifest) { m.Checks[0].Script = "" },
		"check without severity":      func(m *manifest.Manifest) { m.Checks[0].Severity = "fatal" },
		"check without timeout":       func(m *manifest.Manifest) { m.Checks[0].Timeout = 0 },
		"step whose name is a path":   func(m *manifest.Manifest) { m.Steps[0].Name = "../../etc/passwd" },
		"step at no moment":           func(m *manifest.Manifest) { m.Steps[0].When = "later" },
		"step without script":         func(m *manifest.Manifest) { m.Steps[0].Script = "" },
		"step without remedy":         func(m *manifest.Manifest) { m.Steps[0].Remedy = "" },
		"step without timeout":        func(m *manifest.Manifest) { m.Steps[0].Timeout = 0 },
		"owner of a file outside":     func(m *manifest.Manifest) { m.Owners[0].Path = "../../../etc/shadow" },
		"owner of everything":         func(m *manifest.Manifest) { m.Owners[0].Path = "." },
		"owner for a shell":           func(m *manifest.Manifest) { m.Owners[0].User = "$(reboot)" },
		"owner that is no number":     func(m *manifest.Manifest) { m.Owners[0].Group = "4294967295" },
		"directory outside":           func(m *manifest.Manifest) { m.Directories[0].Path = "/etc" },
		"directory that climbs":       func(m *manifest.Manifest) { m.Directories[0].Path = "a/../../b" },
		"directory that is setgid":    func(m *manifest.Manifest) { m.Directories[0].Mode = 0o2755 },
		"check whose name is no name": func(m *manifest.Manifest) { m.Checks[0].Name = "a b" },
	}
	for name, spoil := range tests {
		m := valid()
		spoil(m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.DecodeManifest(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDamagedText(t *testing.T) {
	data, err := valid().Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, damaged := range map[string]string{
		"empty":               "",
		"truncated":           text[:len(text)-3],
		"two":                 text + text,
		"repeated key":        strings.Replace(text, `"role": "master"`, `"role": "agent", "role": "master"`, 1),
		"key in another case": strings.Replace(text, `"role"`, `"ROLE"`, 1),
		"unknown key":         strings.Replace(text, `"role"`, `"roles": 1, "role"`, 1),
		"not UTF-8":           strings.Replace(text, "healthy", "health\xff", 1),
	} {
		if _, err := manifest.DecodeManifest([]byte(damaged)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
