package artifacts_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
)

func TestInvalidInputIsToldAndNothingWritten(t *testing.T) {
	const app = "demo/packages/app/amd64/"
	tests := map[string]struct {
		spoil func(s site)
		// want are the problems without the directory, in their order.
		want []string
	}{
		"setuid file": {
			func(s site) { s.must(os.Chmod(s.path(app+"bin/app"), 0o755|os.ModeSetuid)) },
			[]string{app + "bin/app: is setuid or setgid, which a package cannot carry"},
		},
		"file that its owner may not read": {
			func(s site) { s.must(os.Chmod(s.path(app+"share/words"), 0o044)) },
			[]string{app + "share/words: its owner may not read it (----r--r--)"},
		},
		"pipe": {
			func(s site) { s.must(syscall.Mkfifo(s.path(app+"pipe"), 0o644)) },
			[]string{app + "pipe: is neither a file nor a directory nor a link (p---------)"},
		},
		"absolute link": {
			func(s site) { s.must(os.Symlink("/etc/shadow", s.path(app+"bin/x"))) },
			[]string{app + `bin/x: the link's target "/etc/shadow" is absolute`},
		},
		"link to the outside": {
			func(s site) { s.must(os.Symlink("../../arm64/bin/app", s.path(app+"bin/x"))) },
			[]string{app + `bin/x: the link's target "../../arm64/bin/app" is outside of the package`},
		},
		"link to nothing": {
			func(s site) { s.must(os.Symlink("y", s.path(app+"bin/x"))) },
			[]string{app + `bin/x: the link's target "y" does not exist in the package`},
		},
		"link with a detour": {
			func(s site) { s.must(os.Symlink("../lib/../bin/app", s.path(app+"bin/x"))) },
			[]string{app + `bin/x: the link's target "../lib/../bin/app" is not in its shortest form`},
		},
		"link to itself": {
			func(s site) { s.must(os.Symlink("x", s.path(app+"bin/x"))) },
			[]string{app + `bin/x: the link's target "x" does not exist in the package`},
		},
		"name that is not UTF-8": {
			func(s site) { s.write(app+"bin/\xff", "") },
			[]string{app[:len(app)-1] + `/"bin/\xff": the name is not UTF-8 or has control characters`},
		},
		"directory with a line break in its name": {
			func(s site) { s.write(app+"a\nb/c", "") },
			[]string{app[:len(app)-1] + `/"a\nb": the name is not UTF-8 or has control characters`},
		},
		"path that is too long": {
			func(s site) {
				s.write(app+strings.Repeat(strings.Repeat("d", 200)+"/", 5)+strings.Repeat("f", 200), "")
			},
			[]string{app + strings.Repeat(strings.Repeat("d", 200)+"/", 5)},
		},
		"empty package": {
			func(s site) {
				s.must(os.RemoveAll(s.path("demo/packages/common/bin")))
			},
			[]string{"demo/packages/common: the package's directory is empty"},
		},
		"two packages with one program": {
			func(s site) { s.write("demo/packages/common/bin/app", "") },
			[]string{"demo/bundle.yaml:22:3: packages.common: package common and package app both have bin/app in role master"},
		},
		"package and file at one place": {
			func(s site) { s.edit("demo/bundle.yaml", "etc/app.conf:", "bin/app:") },
			[]string{
				"demo/bundle.yaml:19:3: packages.app: package app and a file both have bin/app in role master",
				"demo/bundle.yaml:19:3: packages.app: package app and a file both have bin/app in role worker",
			},
		},
		"mistake in a template": {
			func(s site) { s.edit("demo/templates/app.conf.tmpl", ".Param.greeting", ".Param.greting") },
			[]string{"demo/templates/app.conf.tmpl:2:"},
		},
		"condition on a late value": {
			func(s site) { s.edit("demo/units/app.service.tmpl", "[Service]", "{{ if .Host.Name }}{{ end }}") },
			[]string{"demo/units/app.service.tmpl:1:"},
		},
		"index in an open role": {
			func(s site) { s.edit("demo/templates/app.conf.tmpl", "name=", "{{ .Host.Index }}") },
			[]string{"demo/templates/app.conf.tmpl:1:"},
		},
		"roster in preflight": {
			func(s site) {
				s.edit("demo/bundle.yaml", `"{{ .Param.port }}"`, `"{{ (index .Roster.master 0).Address }}"`)
			},
			[]string{"demo/bundle.yaml:43:18: checks.port-free.with.port: "},
		},
		"late value in a remedy": {
			func(s site) { s.edit("demo/bundle.yaml", "Stop what", "On {{ .Host.Name }} stop what") },
			[]string{"demo/bundle.yaml:46:13: checks.port-free.remedy: late value .Host.Name cannot be used here: the text is shown before it is known"},
		},
		"empty script": {
			func(s site) { s.must(os.Truncate(s.path("demo/checks/answers.sh"), 0)) },
			[]string{"demo/checks/answers.sh: the script of check answers is empty"},
		},
		"missing agent": {
			func(s site) { s.must(os.Remove(s.path("agents/arm64"))) },
			[]string{"agents/arm64: cannot be read: no such file or directory"},
		},
		"several mistakes at once": {
			func(s site) {
				s.must(os.Truncate(s.path("agents/arm64"), 0))
				s.must(os.Symlink("/etc/shadow", s.path(app+"bin/x")))
				s.must(os.Symlink("/etc/passwd", s.path(app+"bin/y")))
				s.edit("demo/templates/app.conf.tmpl", ".Param.greeting", ".Param.greting")
			},
			[]string{
				app + `bin/x: the link's target "/etc/shadow" is absolute`,
				app + `bin/y: the link's target "/etc/passwd" is absolute`,
				"agents/arm64: the bootstrap agent for arm64 is empty",
				"demo/templates/app.conf.tmpl:2:",
			},
		},
		"directory with something else": {
			func(s site) { s.write("out/genconf/notes", "") },
			[]string{"out/genconf: is not empty and holds no generation"},
		},
		"generation with something else": {
			func(s site) { s.generate(); s.write("out/genconf/notes", "") },
			[]string{"out/genconf/notes: does not belong to a generation and would be lost"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			// What config would refuse is not the matter here.
			test.spoil(s)
			c := s.load()
			before := list(t, s.dir)
			_, err := artifacts.Generate(context.Background(), c, s.options())
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			for i, p := range problems {
				got := strings.TrimPrefix(p.String(), s.dir+"/")
				if i >= len(test.want) || !strings.HasPrefix(got, test.want[i]) {
					t.Errorf("problem %d: %s", i, got)
				}
				if p.Remedy == "" {
					t.Errorf("no remedy for %s", got)
				}
			}
			if len(problems) < len(test.want) {
				t.Errorf("got %d problems, want %d", len(problems), len(test.want))
			}
			if after := list(t, s.dir); after != before {
				t.Errorf("something was written; before\n%safter\n%s", before, after)
			}
		})
	}
}

func TestInputInsideOfOutputIsRefused(t *testing.T) {
	s := newSite(t)
	s.generate()
	// As the ancestor's users have it: the config in the directory that is generated.
	opts := s.options()
	c := s.load()
	c.File = filepath.Join(s.out(), "generation.json")
	_, err := artifacts.Generate(context.Background(), c, opts)
	if err == nil || !strings.Contains(err.Error(), "is replaced as a whole") {
		t.Errorf("got %v", err)
	}
	opts.Out = s.path("demo/packages/app/amd64/genconf")
	_, err = artifacts.Generate(context.Background(), s.load(), opts)
	if err == nil || !strings.Contains(err.Error(), "is inside of package app") {
		t.Errorf("got %v", err)
	}
}

func TestCheckWritesNothing(t *testing.T) {
	s := newSite(t)
	before := list(t, s.dir)
	s.must(artifacts.Check(t.Context(), s.load(), artifacts.Options{}))
	s.edit("demo/templates/app.conf.tmpl", "greeting |", "greting |")
	if artifacts.Check(t.Context(), s.load(), artifacts.Options{}) == nil {
		t.Error("a mistake in a template was not found")
	}
	s.edit("demo/templates/app.conf.tmpl", "greting |", "greeting |")
	if after := list(t, s.dir); after != before {
		t.Error("something was written")
	}
}
