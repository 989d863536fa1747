package artifacts_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/manifest"
)

// newSecretSite has a secret for masters, and a file that they have alone.
func newSecretSite(t *testing.T) site {
	s := newSite(t)
	s.edit("demo/bundle.yaml", "files:\n", "secrets:\n  key: {summary: A key, roles: [master], given: true}\n"+
		"files:\n  etc/secret:\n    roles: [master]\n    template: templates/secret\n")
	s.write("demo/templates/secret", "key={{ .Secret.key | json }}\n")
	s.edit("demo/cluster.yaml", "cluster: test\n", "cluster: test\nsecrets:\n  key: {file: not-there}\n")
	return s
}

func modeOf(t *testing.T, s site, role manifest.Role, path string) (mode int64) {
	t.Helper()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	headers, _ := members(t, filepath.Join(s.out(), manifest.BlobPath(manifests[role].Config.Digest)))
	for _, h := range headers {
		if h.Name == path {
			return h.Mode
		}
	}
	t.Fatalf("role %s has no %s", role, path)
	return 0
}

// The operator's file is not there: a generation is made where values are not known.
func TestAGenerationIsMadeWithoutValues(t *testing.T) {
	s := newSecretSite(t)
	g := s.generate()
	if len(g.Secrets) != 1 || g.Secrets[0].Name != "key" || !g.Secrets[0].Readable("master") || g.Secrets[0].Readable("worker") {
		t.Fatalf("secrets %+v", g.Secrets)
	}
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	for role, want := range map[manifest.Role]bool{"master": true, "worker": false} {
		if got := strings.Contains(strings.Join(late.Refs(manifests[role].Late), " "), "Secret.key"); got != want {
			t.Errorf("role %s uses the secret: %v", role, got)
		}
	}
	if mode := modeOf(t, s, "master", "etc/secret"); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
	config, err := os.ReadFile(filepath.Join(s.out(), "config.json"))
	s.must(err)
	if strings.Contains(string(config), "not-there") {
		t.Error("config.json says where the value is")
	}
	if _, err := os.Stat(filepath.Join(s.out(), "roles/master/user-data")); err == nil {
		t.Error("there is user-data for a role that cannot be installed without a coordinator's secrets")
	}
	before := g.ConfigID
	s.edit("demo/cluster.yaml", "{file: not-there}", "{set: true}")
	if after := s.generate().ConfigID; after != before {
		t.Error("where a value comes from changes what hosts install")
	}
}

func TestTheModeOfAFileWithASecret(t *testing.T) {
	for mode, want := range map[string]int64{"0600": 0o600, "0640": 0o640, "0700": 0o700} {
		s := newSecretSite(t)
		s.edit("demo/bundle.yaml", "template: templates/secret\n", "template: templates/secret\n    mode: \""+mode+"\"\n")
		s.generate()
		if got := modeOf(t, s, "master", "etc/secret"); got != want {
			t.Errorf("mode %s became %o", mode, got)
		}
	}
	// Without a secret in it, a file is what it was.
	s := newSecretSite(t)
	s.write("demo/templates/secret", "no key\n")
	s.generate()
	if got := modeOf(t, s, "master", "etc/secret"); got != 0o644 {
		t.Errorf("mode %o", got)
	}
}

func TestWhereASecretCannotStand(t *testing.T) {
	tests := map[string]struct {
		spoil func(s site)
		want  string
	}{
		"a file that others can read": {func(s site) {
			s.edit("demo/bundle.yaml", "template: templates/secret\n", "template: templates/secret\n    mode: \"0644\"\n")
		}, "demo/templates/secret:1:8: a secret cannot be written into etc/secret, which everybody on the host can read (mode 0644)"},
		"a program that others can run": {func(s site) {
			s.edit("demo/bundle.yaml", "template: templates/secret\n", "template: templates/secret\n    mode: \"0751\"\n")
		}, "demo/templates/secret:1:8: a secret cannot be written into etc/secret, which everybody on the host can read (mode 0751)"},
		"a file of another role": {func(s site) {
			s.edit("demo/bundle.yaml", "roles: [master]\n    template: templates/secret", "roles: [master, worker]\n    template: templates/secret")
		}, `demo/templates/secret:1:8: this role may not read the secret "key"`},
		"no declaration": {func(s site) { s.write("demo/templates/secret", "{{ .Secret.kye | raw }}") }, `demo/templates/secret:1:4: the bundle declares no secret "kye"; did you mean "key"?`},
		"no encoder":     {func(s site) { s.write("demo/templates/secret", "a\n  {{ .Secret.key }}") }, "demo/templates/secret:2:6: secret .Secret.key is printed without an encoder"},
		"a unit": {func(s site) {
			s.edit("demo/units/app.service.tmpl", "[Service]", "[Service]\nEnvironment=A={{ .Secret.key | systemd }}")
		}, "a secret cannot be written into a unit, which everybody on the host can read"},
		"an argument": {func(s site) {
			s.edit("demo/bundle.yaml", `port: "{{ .Param.port }}"`, `port: "{{ .Secret.key | raw }}"`)
		}, "checks.port-free.with.port: .Secret is not known here: a host is given secrets only when it installs"},
		"a remedy": {func(s site) {
			s.edit("demo/bundle.yaml", "Stop what listens on port {{ .Param.port }}.", "Use {{ .Secret.key | raw }}.")
		}, "checks.port-free.remedy: a secret cannot be used here: the text is shown"},
		"a check of preflight": {func(s site) {
			s.edit("demo/bundle.yaml", "stage: postflight", "stage: preflight")
			s.edit("demo/bundle.yaml", "    retry_for: 60s\n", "")
			s.write("demo/checks/answers.sh", "echo {{ .Secret.key | shell }}")
		}, "demo/checks/answers.sh:1:9: .Secret is not known here: a host is given secrets only when it installs"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSecretSite(t)
			c.spoil(s)
			_, err := artifacts.Generate(context.Background(), s.load(), s.options())
			var said []string
			if problems, ok := err.(config.Problems); ok {
				for _, p := range problems {
					said = append(said, strings.TrimPrefix(p.String(), s.dir+"/"))
					if p.Remedy == "" {
						t.Errorf("no remedy: %v", p)
					}
				}
			}
			if all := strings.Join(said, "\n"); !strings.Contains(all, c.want) {
				t.Fatalf("problems\n%v\nwant\n%s", err, c.want)
			}
			if _, err := os.Stat(s.out()); err == nil {
				t.Error("something was written")
			}
		})
	}
}
