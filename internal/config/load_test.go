package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const goodBundle = `bundle: 1
name: app
version: "1.0"
roles: {master: {counts: [3, 1]}, node: {after: [master]}}
packages: {app: {sources: {amd64: pkg/amd64, arm64: pkg/arm64}}}
files: {etc/app.conf: {template: app.tmpl, roles: [node]}}
units: {app: {template: app.tmpl}}
checks: {ok: {stage: postflight, script: ok.sh, remedy: look, retry_for: 1m}}
`

const goodCluster = `cluster: demo
bundle: ../bundle
coordinator: {addresses: [10.0.0.1]}
roles: {master: {count: 3}}
`

// site lays out a bundle and a cluster.yaml in a new directory.
func site(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"bundle/bundle.yaml": goodBundle, "bundle/app.tmpl": "x", "bundle/ok.sh": "x", "bundle/pkg/amd64/bin/app": "x",
		"bundle/pkg/arm64/bin/app": "x", "site/cluster.yaml": goodCluster,
	}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		if content == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadClusterTakesDirectoryOrFileOfTheBundle(t *testing.T) {
	for _, named := range []string{"../bundle", "../bundle/", "../bundle/bundle.yaml"} {
		dir := site(t, map[string]string{"site/cluster.yaml": strings.Replace(goodCluster, "../bundle", named, 1)})
		cluster, problems := LoadCluster(filepath.Join(dir, "site/cluster.yaml"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if want := filepath.Join(dir, "bundle"); cluster.Bundle.Dir != want {
			t.Errorf("%s: the bundle's directory is %s, want %s", named, cluster.Bundle.Dir, want)
		}
	}
}

func TestBundleIsReadInTheOrderOfTheFile(t *testing.T) {
	dir := site(t, nil)
	b, problems := LoadBundle(filepath.Join(dir, "bundle"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if b.Roles[0].Name != "master" || !slices.Equal(b.Roles[0].Counts, []int{1, 3}) || b.Roles[1].After[0] != "master" {
		t.Errorf("roles %+v", b.Roles)
	}
	if len(b.Packages[0].Roles) != 2 || len(b.Files[0].Roles) != 1 {
		t.Errorf("what names no roles is for all: %+v %+v", b.Packages, b.Files)
	}
	if f := b.Files[0]; f.Mode != 0o644 || f.Path != "etc/app.conf" {
		t.Errorf("file %+v", f)
	}
	if c := b.Checks[0]; c.Severity != "critical" || c.Timeout != defaultTimeout || c.RetryFor.Minutes() != 1 {
		t.Errorf("check %+v", c)
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		link  [2]string
		want  []string
	}{
		{name: "a template is missing", files: map[string]string{"bundle/app.tmpl": ""}, want: []string{
			`DIR/bundle/bundle.yaml:6:34: files["etc/app.conf"].template: the bundle has no file "app.tmpl"`,
			`DIR/bundle/bundle.yaml:7:25: units.app.template: the bundle has no file "app.tmpl"`,
		}},
		{name: "a script is a directory", files: map[string]string{"bundle/ok.sh": "", "bundle/ok.sh/x": "x"}, want: []string{
			`DIR/bundle/bundle.yaml:8:42: checks.ok.script: "ok.sh" is not a regular file`,
		}},
		{name: "one architecture is missing", files: map[string]string{"bundle/pkg/arm64/bin/app": ""}, want: []string{
			`DIR/bundle/bundle.yaml:5:53: warning: packages.app.sources.arm64: the bundle has no directory "pkg/arm64"`,
		}},
		{name: "no architecture is there", files: map[string]string{"bundle/pkg/arm64/bin/app": "", "bundle/pkg/amd64/bin/app": ""}, want: []string{
			`DIR/bundle/bundle.yaml:5:18: packages.app.sources: none of the package's sources exists`,
			`DIR/bundle/bundle.yaml:5:35: warning: packages.app.sources.amd64: the bundle has no directory "pkg/amd64"`,
			`DIR/bundle/bundle.yaml:5:53: warning: packages.app.sources.arm64: the bundle has no directory "pkg/arm64"`,
		}},
		{name: "a package is a file", files: map[string]string{"bundle/pkg/arm64/bin/app": "", "bundle/pkg/arm64": "x"}, want: []string{
			`DIR/bundle/bundle.yaml:5:53: packages.app.sources.arm64: "pkg/arm64" is neither a directory nor named like an archive`,
		}},
		{name: "a link leads out of the bundle", files: map[string]string{"bundle/ok.sh": "", "secret": "x"}, link: [2]string{"../secret", "bundle/ok.sh"}, want: []string{
			`DIR/bundle/bundle.yaml:8:42: checks.ok.script: the file "ok.sh" cannot be used: path escapes from parent`,
		}},
		{name: "the bundle is missing", files: map[string]string{"site/cluster.yaml": strings.Replace(goodCluster, "../bundle", "../bundel", 1)}, want: []string{
			`DIR/site/cluster.yaml:2:9: bundle: there is no bundle at "DIR/bundel": no such file or directory`,
		}},
		{name: "the directory is no bundle", files: map[string]string{"site/cluster.yaml": strings.Replace(goodCluster, "../bundle", ".", 1)}, want: []string{
			`DIR/site/cluster.yaml:2:9: bundle: the directory "DIR/site" is not a bundle: it has no bundle.yaml`,
		}},
		{name: "the cluster config is missing", files: map[string]string{"site/cluster.yaml": ""}, want: []string{
			`DIR/site/cluster.yaml: there is no such file`,
		}},
		{name: "the cluster config is a directory", files: map[string]string{"site/cluster.yaml": "", "site/cluster.yaml/x": "x"}, want: []string{
			`DIR/site/cluster.yaml: is a directory, not a file`,
		}},
		{name: "both files have mistakes", files: map[string]string{
			"site/cluster.yaml":  strings.Replace(goodCluster, "demo", "Demo", 1),
			"bundle/bundle.yaml": strings.Replace(goodBundle, "name: app", "name: App", 1),
		}, want: []string{
			`DIR/site/cluster.yaml:1:10: cluster: "Demo" cannot name a cluster`,
			`DIR/bundle/bundle.yaml:2:7: name: "App" cannot name a bundle`,
		}},
		{name: "the cluster config is too large", files: map[string]string{"site/cluster.yaml": strings.Repeat("#", maxFileSize+2)}, want: []string{
			`DIR/site/cluster.yaml: is larger than 16 MiB`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := site(t, tt.files)
			if tt.link[0] != "" {
				if err := os.Symlink(tt.link[0], filepath.Join(dir, tt.link[1])); err != nil {
					t.Fatal(err)
				}
			}
			_, problems := LoadCluster(filepath.Join(dir, "site/cluster.yaml"))
			for _, p := range problems {
				if p.Remedy == "" {
					t.Errorf("no remedy: %v", p)
				}
			}
			want := strings.ReplaceAll(strings.Join(tt.want, "\n"), "DIR", dir)
			if got := problems.Error(); got != want {
				t.Errorf("found\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestErrIsOnlyForMoreThanWarnings(t *testing.T) {
	if err := (Problems{{Warning: true}}).Err(); err != nil {
		t.Error(err)
	}
	err := Problems{{Warning: true}, {Message: "x"}}.Err()
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Error(err)
	}
}
