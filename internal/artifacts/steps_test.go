package artifacts_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/artifacts"
	"muster/internal/manifest"
)

func TestStepsOwnersAndPoliciesAreInTheManifest(t *testing.T) {
	s := newSite(t)
	s.edit("demo/bundle.yaml", "    counts: [1, 3]\n", "    counts: [1, 3]\n    spread: {max: 1}\n    upgrade: {order: 2, max_unavailable: 1}\n")
	s.edit("demo/bundle.yaml", "    after: [master]\n", "    after: [master]\n    upgrade: {max_unavailable: \"10%\"}\n")
	s.edit("demo/bundle.yaml", "    mode: \"0640\"\n", "    mode: \"0640\"\n    owner: app\n    group: 4711\n")
	s.edit("demo/bundle.yaml", "units:\n", `directories:
  log: {roles: [worker]}
  db/wal: {mode: "0700", owner: app}
  db: {mode: "0750", owner: app, group: root}
steps:
  second: {when: before-activate, script: steps/a.sh, remedy: "Look at {{ .Cluster.Data }}."}
  first: {when: after-start, roles: [master], script: steps/b.sh, remedy: r, timeout: 90s, once: true}
  never: {when: after-start, script: steps/never.sh, remedy: r}
units:
`)
	s.write("demo/steps/a.sh", "echo {{ .Host.Name }} {{ .Param.port }}\n")
	s.write("demo/steps/b.sh", "echo {{ (index .Roster.master 0).Address }}\n")
	s.write("demo/steps/never.sh", "{{ if eq .Param.port 1 }}echo{{ end }}\n")
	g := s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	master, worker := manifests["master"], manifests["worker"]
	if len(master.Steps) != 2 || len(worker.Steps) != 1 {
		t.Fatalf("steps %+v and %+v", master.Steps, worker.Steps)
	}
	second, first := master.Steps[0], master.Steps[1]
	if second.Name != "second" || second.Timeout != 5*time.Minute || second.Remedy != "Look at /var/lib/test." || !strings.HasSuffix(second.Script, " 4000\n") || strings.Contains(second.Script, "{{") {
		t.Errorf("step %+v", second)
	}
	if first.Name != "first" || first.When != manifest.AfterStart || first.Timeout != 90*time.Second || !first.Once {
		t.Errorf("step %+v", first)
	}
	if want := []manifest.OwnedFile{{Path: "etc/app.conf", Owner: manifest.Owner{User: "app", Group: "4711"}}}; !reflect.DeepEqual(master.Owners, want) {
		t.Errorf("owners %+v", master.Owners)
	}
	dirs := []manifest.Directory{
		{Path: "db", Mode: 0o750, Owner: manifest.Owner{User: "app"}}, {Path: "db/wal", Mode: 0o700, Owner: manifest.Owner{User: "app"}}, {Path: "log", Mode: 0o755},
	}
	if !reflect.DeepEqual(master.Directories, dirs[:2]) || !reflect.DeepEqual(worker.Directories, dirs) {
		t.Errorf("directories %+v and %+v", master.Directories, worker.Directories)
	}
	if r := g.Roles[0]; !reflect.DeepEqual(r.Spread, &manifest.Spread{Label: "zone", Max: 1}) || !reflect.DeepEqual(r.Upgrade, &manifest.Upgrade{Order: 2, MaxUnavailable: 1}) {
		t.Errorf("policies %+v %+v", r.Spread, r.Upgrade)
	}
	if r := g.Roles[1]; r.Spread != nil || !reflect.DeepEqual(r.Upgrade, &manifest.Upgrade{MaxPercent: 10}) {
		t.Errorf("policies %+v %+v", r.Spread, r.Upgrade)
	}
}
