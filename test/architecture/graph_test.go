// Package architecture tests what no package can test of itself: who may import whom, and what the shipped binary is.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "muster"

// pkg is what go list says of one package.
type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Error      *struct{ Err string }
}

// own says whether the package is of this module.
func (p pkg) own() bool { return p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/") }

// graph is packages by import path.
type graph map[string]pkg

// root is the module's directory.
const root = "../.."

// buildTags are those that scripts/build makes the bootstrap agent with: what is tested must be what is shipped.
func buildTags(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(root, "scripts", "build"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`-tags[ =]([a-z0-9,]+)`).FindAllSubmatch(script, -1)
	if len(found) != 1 {
		t.Fatalf("scripts/build has -tags %d times, want once", len(found))
	}
	return string(found[0][1])
}

// list asks go list for packages with all that they import, as they are shipped.
func list(t *testing.T, patterns ...string) graph {
	t.Helper()
	args := append([]string{"list", "-deps", "-tags", buildTags(t), "-json=ImportPath,Dir,Doc,Standard,GoFiles,Imports,Error"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	g := make(graph)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = p
	}
	if len(g) == 0 {
		t.Fatalf("go %s lists nothing", strings.Join(args, " "))
	}
	return g
}

// chain is the shortest way from one package to another by imports, or nil.
func (g graph) chain(from, to string) []string {
	came := map[string]string{from: ""}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		at := next[0]
		if at == to {
			var way []string
			for ; at != ""; at = came[at] {
				way = append(way, at)
			}
			slices.Reverse(way)
			return way
		}
		for _, imported := range g[at].Imports {
			if _, seen := came[imported]; !seen {
				came[imported] = at
				next = append(next, imported)
			}
		}
	}
	return nil
}

// under says whether a package is tree or below it.
func under(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

// forbidReach fails for every package of the unwanted trees that from reaches, and shows the way.
func (g graph) forbidReach(t *testing.T, from string, unwanted ...string) {
	t.Helper()
	if _, ok := g[from]; !ok {
		t.Fatalf("%s is not among the packages", from)
	}
	for _, path := range g.paths() {
		if !slices.ContainsFunc(unwanted, func(tree string) bool { return under(path, tree) }) {
			continue
		}
		if way := g.chain(from, path); way != nil {
			t.Errorf("%s must not reach %s:\n\t%s", from, path, strings.Join(way, "\n\t→ "))
		}
	}
}

// forbidImport fails for every package of the unwanted trees that one package imports itself, and shows how the
// package is reached from the one that the rule is about.
func (g graph) forbidImport(t *testing.T, about, importer string, unwanted ...string) {
	t.Helper()
	for _, imported := range g[importer].Imports {
		if slices.ContainsFunc(unwanted, func(tree string) bool { return under(imported, tree) }) {
			t.Errorf("%s must not import %s:\n\t%s", about, imported, strings.Join(append(g.chain(about, importer), imported), "\n\t→ "))
		}
	}
}

// paths are the import paths in order, so that a failure reads the same each time.
func (g graph) paths() []string {
	all := make([]string, 0, len(g))
	for path := range g {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}
