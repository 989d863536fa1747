// Package examples tries the bundles below examples/ without hosts: that they are what they say, and that an operator who
// makes a mistake is told so. What they install is tried in test/e2e.
package examples

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/manifest"
)

const datacenter = "../../examples/datacenter"

var sites = []string{"cluster.yaml", "cluster-static.yaml", "cluster-endpoint.yaml"}

// unbuilt is a copy of the bundle without its packages, which take minutes to build and change nothing of what an operator
// may write.
func unbuilt(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"templates", "units", "checks", "steps"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(datacenter, part))); err != nil {
			t.Fatal(err)
		}
	}
	text := read(t, filepath.Join(datacenter, "bundle.yaml"))
	before, rest, found := strings.Cut(text, "\npackages:\n")
	_, after, also := strings.Cut(rest, "\nfiles:\n")
	if !found || !also {
		t.Fatal("bundle.yaml has no packages that are followed by files")
	}
	write(t, filepath.Join(dir, "bundle.yaml"), before+"\nfiles:\n"+after)
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check is coordinator genconf --check of a cluster.yaml in the directory.
func check(t *testing.T, dir, text string) config.Problems {
	t.Helper()
	file := filepath.Join(dir, "cluster.yaml")
	write(t, file, text)
	cluster, problems := config.LoadCluster(file)
	if problems.Err() != nil {
		return problems
	}
	var found config.Problems
	if err := artifacts.Check(t.Context(), cluster, artifacts.Options{}); err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}
	return append(problems, found...)
}

func TestTheSitesOfTheDatacenterAreValid(t *testing.T) {
	dir := unbuilt(t)
	for _, site := range sites {
		if problems := check(t, dir, read(t, filepath.Join(datacenter, site))); len(problems) > 0 {
			t.Errorf("%s: %v", site, problems)
		}
	}
}

func TestTheDatacenterHasTheSurfaceOfAPlatform(t *testing.T) {
	b, problems := config.LoadBundle(unbuilt(t))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	properties, _ := b.Schema["properties"].(map[string]any)
	if len(properties) < 40 {
		t.Errorf("the bundle has %d parameters, want 40 at least", len(properties))
	}
	for name, schema := range properties {
		if description, _ := schema.(map[string]any)["description"].(string); len(description) < 10 {
			t.Errorf("parameter %s has no description", name)
		}
	}
	if len(b.Roles) != 3 || len(b.Rules) < 15 {
		t.Errorf("the bundle has %d roles and %d rules", len(b.Roles), len(b.Rules))
	}
	for _, c := range b.Checks {
		if c.Remedy == "" || c.Summary == "" {
			t.Errorf("check %s has no remedy or no summary", c.Name)
		}
	}
}

// The packages are built by examples/datacenter/build, which takes Go modules and Debian's archive.
func TestTheDatacenterIsClean(t *testing.T) {
	built := filepath.Join(datacenter, "packages/debs", runtime.GOARCH, "haproxy.deb")
	if _, err := os.Stat(built); err != nil {
		t.Skipf("SKIPPED: the packages are not there; build them with examples/datacenter/build: %v", err)
	}
	found, err := artifacts.Lint(t.Context(), datacenter)
	found = slices.DeleteFunc(found, func(p config.Problem) bool {
		return p.Warning && strings.HasPrefix(p.Message, "the bundle has no ") // packages for another architecture
	})
	if err != nil || len(found) > 0 {
		t.Errorf("lint finds (error %v):\n%v", err, found)
	}
}

// Without the packages, whose packing takes long and is tried in test/e2e.
func TestTheSitesOfTheDatacenterAreGenerated(t *testing.T) {
	dir := unbuilt(t)
	agents := map[manifest.Arch]string{}
	for _, arch := range []manifest.Arch{"amd64", "arm64"} {
		agents[arch] = filepath.Join(t.TempDir(), string(arch))
		write(t, agents[arch], "stands for the bootstrap agent")
	}
	ids := map[manifest.ConfigID]string{}
	for _, site := range sites {
		write(t, filepath.Join(dir, site), read(t, filepath.Join(datacenter, site)))
		cluster, problems := config.LoadCluster(filepath.Join(dir, site))
		if problems.Err() != nil {
			t.Fatal(problems)
		}
		g, err := artifacts.Generate(context.Background(), cluster, artifacts.Options{Agents: agents, Out: filepath.Join(t.TempDir(), "genconf")})
		if err != nil {
			t.Errorf("%s: %v", site, err)
			continue
		}
		if other := ids[g.ConfigID]; other != "" {
			t.Errorf("%s and %s have one config id", site, other)
		}
		ids[g.ConfigID] = site
	}
}

var update = flag.Bool("update", false, "write what is said now into testdata")

// testdata/datacenter.txt is a specification: a case is a name after ===, what is put into the site, and after >>> the
// problems that are told, word by word. A line replaces the one of the site with the same key; others are added below
// parameters. Lines that begin with ^ are for the top, and -key takes a parameter away.
func TestMistakesInASiteAreExplained(t *testing.T) {
	const file = "testdata/datacenter.txt"
	head, rest, _ := strings.Cut(read(t, file), "=== ")
	site, cases := strings.TrimSpace(head)+"\n", strings.Split(rest, "\n=== ")
	if len(cases) < 15 {
		t.Errorf("%d cases, want 15 at least", len(cases))
	}
	dir := unbuilt(t)
	if problems := check(t, dir, site); len(problems) > 0 {
		t.Fatalf("the site itself is not valid: %v", problems)
	}
	out := head
	for i, c := range cases {
		name, body, _ := strings.Cut(c, "\n")
		change, want, _ := strings.Cut(body, ">>>\n")
		t.Run(name, func(t *testing.T) {
			problems := check(t, dir, changed(site, change))
			var got strings.Builder
			for _, p := range problems {
				got.WriteString(strings.ReplaceAll(p.String(), dir+"/", "") + "\n")
				if p.Remedy == "" {
					t.Errorf("no remedy: %v", p)
				}
			}
			if *update {
				want = got.String()
			}
			if strings.TrimSpace(want) == "" || strings.TrimSpace(got.String()) != strings.TrimSpace(want) {
				t.Errorf("found\n%s\nwant\n%s", got.String(), want)
			}
		})
		if i > 0 {
			out += "\n"
		}
		out += "=== " + name + "\n" + change + ">>>\n" + strings.TrimSpace(want) + "\n"
	}
	if *update {
		write(t, file, out)
	}
}

// changed puts lines into a site.
func changed(site, lines string) string {
	for line := range strings.Lines(lines) {
		if top, ok := strings.CutPrefix(line, "^"); ok {
			site = replaced(site, "", top)
		} else if key, ok := strings.CutPrefix(line, "-"); ok {
			site = without(site, strings.TrimSpace(key))
		} else {
			site = replaced(site, "  ", line)
		}
	}
	return site
}

// replaced puts a line in the place of the one with the same key, or at the end: below parameters, which come last.
func replaced(site, indent, line string) string {
	key, _, _ := strings.Cut(line, ":")
	var out strings.Builder
	found := false
	for old := range strings.Lines(site) {
		if strings.HasPrefix(old, indent+key+":") {
			found = true
			old = indent + line
		}
		out.WriteString(old)
	}
	switch {
	case found:
		return out.String()
	case indent == "":
		return line + site
	}
	return site + indent + line
}

func without(site, key string) string {
	var out strings.Builder
	for line := range strings.Lines(site) {
		if !strings.HasPrefix(line, "  "+key+":") {
			out.WriteString(line)
		}
	}
	return out.String()
}
