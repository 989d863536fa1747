package artifacts_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/artifacts"
	"muster/internal/late"
	"muster/internal/manifest"
)

// members gives the members of a tar.zst in their order.
func members(t *testing.T, path string) (headers []*tar.Header, contents map[string]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	contents = map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, h)
		contents[h.Name] = string(content)
	}
}

func TestGenerationIsComplete(t *testing.T) {
	s := newSite(t)
	want := s.generate()
	got, manifests, err := artifacts.Verify(t.Context(), s.out())
	s.must(err)
	if got.ConfigID != want.ConfigID || len(got.Roles) != 2 || len(manifests) != 2 {
		t.Fatalf("read back %+v", got)
	}
	for _, name := range []string{"config.json", "install.sh", "packed.json", "roles/master/user-data", "roles/worker/user-data"} {
		if _, err := os.Stat(filepath.Join(s.out(), name)); err != nil {
			t.Error(err)
		}
	}
	for _, r := range got.Roles {
		named, err := os.ReadFile(filepath.Join(s.out(), "roles", string(r.Name), "manifest.json"))
		s.must(err)
		blob, err := os.ReadFile(filepath.Join(s.out(), manifest.BlobPath(r.Manifest.Digest)))
		s.must(err)
		if !bytes.Equal(named, blob) {
			t.Errorf("role %s: manifest.json is not the manifest's blob", r.Name)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.out()), ".genconf-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestManifestOfARole(t *testing.T) {
	s := newSite(t)
	s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	m := manifests["master"]
	if got := m.Roster["master"]; len(got) != 1 || got[0] != (manifest.Member{Name: "master-0", Address: "10.77.0.11", Zone: "a"}) {
		t.Errorf("roster %+v", m.Roster)
	}
	if got := m.Packages[0].Links["arm64"]; !slices.Equal(got, []string{"bin/app", "bin/app-tool", "lib/libapp.so", "lib/libapp.so.1"}) {
		t.Errorf("links %v", got)
	}
	common, again := m.Packages[1].Blobs, manifests["worker"].Packages[1].Blobs
	if common["amd64"] != common["arm64"] || common["amd64"] != again["amd64"] {
		t.Error("the same content is packed more than once")
	}
	if got := m.Packages[0].Blobs["amd64"]; got.Entries != 8 || got.Unpacked != int64(len("#!/bin/sh\necho app on amd64\nlibrary of amd64\nwords\n")) {
		t.Errorf("blob of app: %+v", got)
	}
	names := []string{}
	for _, u := range m.Units {
		names = append(names, u.Name+" "+u.Path)
	}
	if !slices.Equal(names, []string{"test-app.service units/test-app.service", "test.target units/test.target"}) {
		t.Errorf("units %v", names)
	}
	for _, c := range m.Checks {
		switch c.Name {
		case "port-free":
			if c.With["port"] != "4000" || c.Remedy != "Stop what listens on port 4000." {
				t.Errorf("check %+v", c)
			}
		case "answers":
			if !strings.Contains(c.Script, m.Late.Marker) || c.Remedy != "Read `journalctl -u test-app`." {
				t.Errorf("check %+v", c)
			}
		}
	}
}

func TestConfigBlob(t *testing.T) {
	s := newSite(t)
	s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	for role, index := range map[manifest.Role]string{"master": "MUSTER_HOST_INDEX=0\n", "worker": ""} {
		m := manifests[role]
		headers, contents := members(t, filepath.Join(s.out(), manifest.BlobPath(m.Config.Digest)))
		var names []string
		for _, h := range headers {
			names = append(names, h.Name)
			if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 || len(h.PAXRecords) != 0 {
				t.Errorf("%s: %+v", h.Name, h)
			}
			if want := map[string]int64{"etc/app.conf": 0o640, "etc/": 0o755}[h.Name]; want != 0 && h.Mode != want {
				t.Errorf("%s has mode %o", h.Name, h.Mode)
			}
		}
		want := []string{"etc/", "etc/app.conf", "etc/host.env", "units/", "units/test-app.service", "units/test.target"}
		if !slices.Equal(names, want) || m.Config.Entries != len(want) {
			t.Errorf("members %v, %d entries", names, m.Config.Entries)
		}
		values := late.Values{}
		values.SetHost(manifest.Member{Name: "one", Address: "10.77.0.11"})
		values.SetRoster("master", []manifest.Member{{Name: "one", Address: "10.77.0.11"}})
		env, err := late.Bind(m.Late, values, []byte(contents["etc/host.env"]))
		s.must(err)
		if got := "MUSTER_CLUSTER=test\nMUSTER_ROLE=" + string(role) + "\nMUSTER_HOST_NAME=one\nMUSTER_HOST_ADDRESS=10.77.0.11\n" + index; string(env) != got {
			t.Errorf("host.env is %q", env)
		}
		if got := contents["units/test.target"]; got != "[Unit]\nDescription=Services of test ("+string(role)+")\nWants=test-app.service\nAfter=test-app.service\n\n[Install]\nWantedBy=multi-user.target\n" {
			t.Errorf("target is %q", got)
		}
	}
}

func TestOnlyHostArtifactsHavePlaceholders(t *testing.T) {
	s := newSite(t)
	g := s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	marker := manifests["master"].Late.Marker
	allowed := map[string]bool{}
	for _, r := range g.Roles {
		allowed[manifest.BlobPath(r.Manifest.Digest)] = true
		allowed[filepath.Join("roles", string(r.Name), "manifest.json")] = true
	}
	s.must(filepath.WalkDir(s.out(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(s.out(), path)
		if bytes.Contains(data, []byte(marker)) && !allowed[rel] {
			t.Errorf("%s holds a placeholder", rel)
		}
		if bytes.Contains(data, []byte(s.dir)) {
			t.Errorf("%s names a path of this machine", rel)
		}
		return err
	}))
}

func TestNoUserDataWithoutRoster(t *testing.T) {
	s := newSite(t)
	s.edit("demo/cluster.yaml", "hosts:\n  - {address: 10.77.0.11, role: master, labels: {zone: a}}\n", "")
	var said []string
	opts := s.options()
	opts.Progress = func(line string) { said = append(said, line) }
	_, err := artifacts.Generate(context.Background(), s.load(), opts)
	s.must(err)
	if _, err := os.Stat(filepath.Join(s.out(), "roles/master/user-data")); !os.IsNotExist(err) {
		t.Errorf("user-data: %v", err)
	}
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "no user-data") }) {
		t.Errorf("said %q", said)
	}
}

func TestTheEndpointIsKnownWithoutACoordinator(t *testing.T) {
	s := newSite(t)
	s.edit("demo/cluster.yaml", "roles:", "endpoint: db.example.com:4000\nroles:")
	s.edit("demo/checks/answers.sh", ".Host.Address", ".Endpoint")
	s.generate()
	for _, role := range []string{"master", "worker"} {
		if _, err := os.Stat(filepath.Join(s.out(), "roles", role, "user-data")); err != nil {
			t.Errorf("role %s: %v", role, err)
		}
	}
}

func TestTemplatesChooseByDiscovery(t *testing.T) {
	for discovery, waits := range map[string]bool{"coordinator": true, "endpoint": false} {
		t.Run(discovery, func(t *testing.T) {
			s := newSite(t)
			s.edit("demo/cluster.yaml", "roles:", "endpoint: db.example.com\ndiscovery: "+discovery+"\nroles:")
			s.write("demo/templates/app.conf.tmpl", `{{ if eq .Cluster.Discovery "endpoint" }}{{ .Endpoint }}{{ else }}{{ (index .Roster.master 0).Address }}{{ end }}`)
			s.generate()
			_, manifests, err := artifacts.Load(s.out())
			s.must(err)
			refs := ""
			for _, slot := range manifests["worker"].Late.Slots {
				refs += slot.Ref + " "
			}
			if strings.Contains(refs, "Roster.master[0].Address") != waits || strings.Contains(refs, "Endpoint") == waits {
				t.Errorf("the plan needs %s", refs)
			}
		})
	}
}

func TestNoUserDataForWhatOnlyACoordinatorKnows(t *testing.T) {
	s := newSite(t)
	s.edit("demo/cluster.yaml", ", labels: {zone: a}", "")
	s.edit("demo/checks/answers.sh", ".Host.Address", ".Host.Zone")
	s.generate()
	for role, want := range map[string]bool{"master": false, "worker": true} {
		if _, err := os.Stat(filepath.Join(s.out(), "roles", role, "user-data")); (err == nil) != want {
			t.Errorf("role %s: %v", role, err)
		}
	}
}
