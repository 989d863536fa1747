package artifacts_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/bundle"
	"muster/internal/config"
)

// lint gives what is found in the site's bundle, without the directory.
func (s site) lint() (config.Problems, string) {
	s.t.Helper()
	found, err := artifacts.Lint(context.Background(), s.path("demo"))
	s.must(err)
	return found, strings.ReplaceAll(found.Error(), s.dir+"/", "")
}

func TestLintFindsWhatIsWrongOrDeservesALook(t *testing.T) {
	unit := "demo/units/app.service.tmpl"
	tests := map[string]struct {
		spoil func(s site)
		want  []string
	}{
		"nothing": {func(site) {}, nil},
		"a mistake for one role only": {
			func(s site) {
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ if eq .Role.Name "worker" }}{{ .Param.nothing }}{{ end }}name=`)
			},
			[]string{"demo/templates/app.conf.tmpl:1:35: unknown parameter .Param.nothing"},
		},
		"a mistake for one count only": {
			func(s site) {
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ if eq (len .Roster.master) 1 }}{{ (index .Roster.master 1).Name }}{{ end }}name=`)
			},
			[]string{"demo/templates/app.conf.tmpl:1:39: index 1 is outside of .Roster.master, which has 1 member"},
		},
		"a mistake for one way of discovery only": {
			func(s site) {
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ if eq .Cluster.Discovery "endpoint" }}{{ .Param.nothing }}{{ end }}name=`)
			},
			[]string{"demo/templates/app.conf.tmpl:1:45: unknown parameter .Param.nothing"},
		},
		"a mistake with a value that has no default": {
			func(s site) {
				s.edit("demo/bundle.yaml", "    greeting:", "    deep: {type: object, properties: {n: {type: integer}}}\n    greeting:")
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ with index .Param "deep" }}{{ .m }}{{ end }}name=`)
			},
			[]string{"demo/templates/app.conf.tmpl:1:34: warning: unknown value .m (with imagined values"},
		},
		"a parameter that nothing reads": {
			func(s site) {
				s.edit("demo/bundle.yaml", "    greeting:", "    colour: {type: string, default: red}\n    greeting:")
			},
			[]string{"demo/bundle.yaml:17:5: warning: parameters.properties.colour: no template, check, step or rule reads this parameter"},
		},
		"a mistake with a value that a condition asks for": {
			func(s site) {
				s.edit("demo/bundle.yaml", "  additionalProperties: false\n", `  additionalProperties: false
  if: {properties: {proxied: {const: true}}}
  then: {required: [proxy, realm]}
  else: {properties: {direct: false}}
`)
				s.edit("demo/bundle.yaml", "    greeting:", `    proxied: {type: boolean, default: true}
    proxy: {type: object, properties: {url: {format: url}}}
    realm: {type: string, examples: [a]}
    direct: {type: string}
    greeting:`)
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ if .Param.proxied }}{{ .Param.proxy.user }}{{ .Param.realm }}{{ end }}{{ index .Param "direct" }}name=`)
			},
			[]string{"demo/templates/app.conf.tmpl:1:27: unknown parameter .Param.proxy.user"},
		},
		"a mistake with a value that a condition excludes by default": {
			func(s site) {
				s.edit("demo/bundle.yaml", "  additionalProperties: false\n", `  additionalProperties: false
  if: {properties: {proxied: {const: true}}}
  else: {properties: {proxy: false}}
`)
				s.edit("demo/bundle.yaml", "    greeting:", `    proxied: {type: boolean, default: false}
    proxy: {type: string}
    deep: {type: object, properties: {n: {type: integer}}}
    greeting:`)
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ if .Param.proxied }}{{ .Param.proxy }}{{ end }}{{ with index .Param "deep" }}{{ .m }}{{ end }}name=`)
			},
			[]string{"demo/templates/app.conf.tmpl:1:84: warning: unknown value .m (with imagined values"},
		},
		"a parameter that cannot be imagined": {
			func(s site) {
				s.edit("demo/bundle.yaml", "  additionalProperties: false\n", "  additionalProperties: false\n  required: [token]\n")
				s.edit("demo/bundle.yaml", "    greeting:", "    token: {type: string, pattern: ^x$}\n    greeting:")
				s.edit("demo/templates/app.conf.tmpl", "name=", `{{ .Param.token }}name=`)
			},
			[]string{"demo/bundle.yaml:12:1: warning: parameters: the templates were not rendered: parameter token: no value can be imagined; give it examples in the schema"},
		},
		"defaults that break a rule": {
			func(s site) {
				s.edit("demo/bundle.yaml", "packages:\n", "rules: [{assert: lt .Param.port 1024, message: too high, remedy: r, keys: [port]}]\npackages:\n")
			},
			[]string{"demo/bundle.yaml:18:9: rules[0]: too high: port is 4000 (the default)"},
		},
		"a check without a remedy": {
			func(s site) {
				s.edit("demo/bundle.yaml", "    severity: critical\n    timeout: 10s\n    remedy: Stop what listens on port {{ .Param.port }}.\n", "    severity: warning\n")
			},
			[]string{"demo/bundle.yaml:38:3: warning: checks.port-free: has no remedy"},
		},
		"a script that no shell can read": {
			func(s site) { s.write("demo/checks/answers.sh", "echo {{ .Param.port }}\nif true; then\n") },
			[]string{"demo/checks/answers.sh:"},
		},
		"a program that no shell can read": {
			func(s site) {
				s.edit("demo/templates/app.conf.tmpl", "name=", "#!/bin/sh\n{{ range .Roster.master }}\necho {{ .Name }}\n{{ end }}\n) name=")
			},
			[]string{"demo/templates/app.conf.tmpl:5:1: the script is not one that sh can read: Syntax error"},
		},
		"a unit that is none": {
			func(s site) { s.write(unit, "[Unt]\nDescription\n") },
			[]string{
				unit + ":1:1: a service has no section [Unt]", unit + ":2:1: this line is neither a [Section] nor Key=value",
				unit + ": the unit has no section [Service]",
			},
		},
		"a unit that runs what is not there": {
			func(s site) {
				s.write(unit, "[Service]\nRestart=no\nExecStartPre=sh -c true\nExecStart=-{{ .Cluster.Root }}/current/bin/ap\n[Install]\nWantedBy=x\n")
			},
			[]string{
				unit + ":3:1: ExecStartPre= runs sh, which is not an absolute path",
				unit + ":4:1: ExecStart= runs bin/ap, which neither a file nor a package of the role master has",
				unit + ":6:1: warning: [Install] has no effect",
				unit + ":4:1: ExecStart= runs bin/ap, which neither a file nor a package of the role worker has",
			},
		},
		"a unit that runs what is not executable": {
			func(s site) {
				s.write("demo/packages/app/amd64/bin/plain", "#!/bin/sh\n")
				s.must(os.Chmod(s.path("demo/packages/app/amd64/bin/plain"), 0o644))
				s.must(os.Symlink("plain", s.path("demo/packages/app/amd64/bin/linked")))
				s.edit("demo/bundle.yaml", "files:\n", "files:\n  bin/started: {roles: [master, worker], template: templates/app.conf.tmpl}\n")
				s.write(unit, "[Service]\nRestart=no\nExecStartPre={{ .Cluster.Root }}/current/bin/started\nExecStart={{ .Cluster.Root }}/current/bin/plain\nExecStop={{ .Cluster.Root }}/current/bin/linked\n")
			},
			[]string{
				unit + ":3:1: ExecStartPre= runs bin/started, which is not executable",
				unit + ":4:1: ExecStart= runs bin/plain, which is not executable",
				unit + ":5:1: ExecStop= runs bin/linked, which is not executable",
			},
		},
		"a unit that could not be removed": {
			func(s site) { s.write(unit, "[Service]\nExecStart=/bin/sleep 1d\n") },
			[]string{unit + ": the unit names nothing below {{ .Cluster.Root }}", unit + ": warning: the service has no Restart="},
		},
		"a unit with the name of a timer": {
			func(s site) { s.edit("demo/bundle.yaml", "units:\n  app:", "units:\n  app.timer:") },
			[]string{"demo/bundle.yaml:34:3: warning: units[\"app.timer\"]: this becomes the service"},
		},
		"files that lie beside the bundle": {
			func(s site) {
				s.write("demo/src/a", "")
				s.write("demo/build", "")
				s.write("demo/cluster-2.yaml", "")
				s.write("demo/notes.txt", "")
				s.write("demo/.bundleignore", "# not ours\nsrc/\nbuild\n[\n\ncluster-*.yaml\n")
			},
			[]string{
				`demo/.bundleignore:4:1: warning: "[" is not a pattern of paths`,
				"demo/notes.txt: warning: bundle.yaml does not name this file",
			},
		},
		"files that are not named": {
			func(s site) {
				s.write("demo/notes.txt", "")
				s.write("demo/src/a", "")
				s.write("demo/src/b/c", "")
				s.write("demo/templates/old.tmpl", "")
				s.write("demo/README", "")
				s.write("demo/.git/x", "")
			},
			[]string{
				"demo/notes.txt: warning: bundle.yaml does not name this file", "demo/src: warning: bundle.yaml names none of the 2 files in it",
				"demo/templates/old.tmpl: warning: bundle.yaml does not name this file",
			},
		},
		"members for zones that nobody has": {
			func(s site) { s.edit("demo/bundle.yaml", "counts: [1, 3]", "counts: [1, 9]\n    spread: {max: 1}") },
			[]string{"demo/bundle.yaml:9:5: warning: roles.master.spread: 9 members need 9 zones"},
		},
		"a bundle that cannot be read": {
			func(s site) { s.edit("demo/bundle.yaml", "name: demo", "nam: demo") },
			[]string{"demo/bundle.yaml:2:1: nam: unknown key"},
		},
		"a package that cannot be packed": {
			func(s site) { s.must(os.Symlink("/etc/shadow", s.path("demo/packages/common/bin/x"))) },
			[]string{"demo/packages/common/bin/x: the link's target"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.edit(unit, "[Service]\n", "[Service]\nRestart=on-failure\n")
			test.spoil(s)
			before := list(t, s.dir)
			found, text := s.lint()
			lines := strings.Split(text, "\n")
			if len(found) != len(test.want) {
				t.Errorf("found %d, want %d:\n%s", len(found), len(test.want), text)
			}
			for i, want := range test.want {
				if i < len(lines) && !strings.HasPrefix(lines[i], want) {
					t.Errorf("got  %s\nwant %s", lines[i], want)
				}
			}
			for _, p := range found {
				if p.Remedy == "" {
					t.Errorf("no remedy: %v", p)
				}
			}
			if list(t, s.dir) != before {
				t.Error("something was written")
			}
		})
	}
}

// What init writes is what everybody begins with.
func TestScaffoldGoesAllTheWay(t *testing.T) {
	s := newSite(t)
	t.Setenv("XDG_CACHE_HOME", s.path("cache"))
	dir := s.path("beat")
	written, err := bundle.Init(dir, "10.77.0.1")
	s.must(err)
	if len(written) < 8 {
		t.Errorf("wrote %v", written)
	}
	if _, err := bundle.Init(dir, "10.77.0.1"); err == nil {
		t.Error("a directory with a bundle was written to again")
	}
	if _, err := bundle.Init(s.path("Not A Name"), ""); err == nil {
		t.Error("a directory whose name is none was taken")
	}
	found, err := artifacts.Lint(t.Context(), dir)
	s.must(err)
	if len(found) > 0 {
		t.Fatal(found)
	}
	b, problems := config.LoadBundle(dir)
	if problems != nil {
		t.Fatal(problems)
	}
	built, err := artifacts.BuildBundle(t.Context(), b, s.path("beat.bundle"))
	s.must(err)
	s.edit("beat/cluster.yaml", "bundle: .", "bundle: ../beat.bundle\nbundle_sha256: "+string(built.Digest))
	c, problems := config.LoadCluster(filepath.Join(dir, "cluster.yaml"))
	if problems != nil {
		t.Fatal(problems)
	}
	_, err = artifacts.Generate(t.Context(), c, s.options())
	s.must(err)
	g, manifests, err := artifacts.Load(s.out())
	s.must(err)
	if len(g.Roles) != 2 || len(manifests["keeper"].Steps) != 1 || len(manifests["worker"].Directories) != 1 || len(manifests["worker"].Checks) != 3 {
		t.Errorf("generated %+v", manifests)
	}
	// A bundle in one file can be looked through as well.
	if found, err := artifacts.Lint(t.Context(), s.path("beat.bundle")); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}
