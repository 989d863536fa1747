package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The bootstrap agent is on every host as root: it holds nothing of the coordinator, and nothing that would let the
// linker keep every method of every type (text/template), which costs 2.5 MB.
func TestTheBootstrapAgentHoldsNothingOfTheCoordinator(t *testing.T) {
	unwanted := []string{
		"text/template", "html/template", "gopkg.in/yaml.v3", "go.etcd.io/bbolt", "go.etcd.io/etcd", "github.com/spf13/cobra",
		"github.com/prometheus/client_golang", "golang.org/x/net/trace", "testing",
	}
	for _, name := range []string{"coordinator", "rpc", "web", "store", "identity", "attest", "artifacts", "config", "render", "push", "sshconfig", "hostlist", "show"} {
		unwanted = append(unwanted, module+"/internal/"+name)
	}
	list(t, "./cmd/bootstrap-agent").forbidReach(t, module+"/cmd/bootstrap-agent", unwanted...)
}

// pure are the packages that are data in, data out. They need no sleep and no fake in a test.
var pure = []string{"roles", "hosts", "late", "manifest"}

// impure is what a pure package and what it imports of this module may not import. net/netip is only data.
var impure = []string{
	"net/http", "net/rpc", "net/smtp", "net/textproto", "os", "syscall", "io/ioutil", "log", "log/slog", "plugin", "embed",
	"database/sql", "math/rand", "crypto/rand", "runtime", "unsafe", "testing",
	"google.golang.org/grpc", "golang.org/x/sys", "golang.org/x/net", "golang.org/x/crypto/ssh", "go.etcd.io/bbolt",
}

// impureCalls are the functions of otherwise pure packages that ask the world, by import path.
var impureCalls = map[string][]string{
	"time":          {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until", "LoadLocation"},
	"path/filepath": {"Abs", "EvalSymlinks", "Glob", "Walk", "WalkDir"},
	"fmt":           {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

func TestThePurePackagesKnowNoNetworkNoFilesAndNoClock(t *testing.T) {
	for _, name := range pure {
		t.Run(name, func(t *testing.T) {
			about := module + "/internal/" + name
			g := list(t, "./internal/"+name)
			for _, importer := range g.paths() {
				if !g[importer].own() {
					continue
				}
				g.forbidImport(t, about, importer, impure...)
				// The tree below net has netip, which is data; net itself is not.
				if slices.Contains(g[importer].Imports, "net") {
					t.Errorf("%s must not import net:\n\t%s", about, strings.Join(append(g.chain(about, importer), "net"), "\n\t→ "))
				}
				for _, call := range impureCallsOf(t, g[importer]) {
					t.Errorf("%s must not ask the world:\n\t%s\n\t→ %s", about, strings.Join(g.chain(about, importer), "\n\t→ "), call)
				}
			}
		})
	}
}

// impureCallsOf are the uses of impureCalls in a package, called or not, each with its place.
func impureCallsOf(t *testing.T, p pkg) []string {
	t.Helper()
	var found []string
	for _, name := range p.GoFiles {
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, impureUses(t, positions, file)...)
	}
	return found
}

func impureUses(t *testing.T, positions *token.FileSet, file *ast.File) []string {
	t.Helper()
	var found []string
	imported := make(map[string]string) // the name in this file → the import path
	for _, spec := range file.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		local := path.Base(importPath)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "." && impureCalls[importPath] != nil {
			found = append(found, positions.Position(spec.Pos()).String()+": a dot import of "+importPath+" hides what is used of it")
		}
		imported[local] = importPath
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(impureCalls[imported[x.Name]], s.Sel.Name) {
				found = append(found, positions.Position(s.Pos()).String()+": "+imported[x.Name]+"."+s.Sel.Name)
			}
		}
		return true
	})
	return found
}

// The rule above is only as good as its eyes.
func TestUsesOfTheWorldAreSeen(t *testing.T) {
	const source = `package p
import (
	"fmt"
	clock "time"
	. "path/filepath"
)
var now = clock.Now
func f(d clock.Duration) string { clock.Sleep(d); fmt.Println(d); return fmt.Sprint(d, Base("x")) }
`
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"p.go:5:2: a dot import of path/filepath hides what is used of it",
		"p.go:7:11: time.Now", "p.go:8:35: time.Sleep", "p.go:8:51: fmt.Println",
	}
	if got := impureUses(t, positions, file); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// The front doors translate; the core has the rules and knows no protocol.
func TestTheCoreKnowsNoFrontDoor(t *testing.T) {
	about := module + "/internal/coordinator"
	g := list(t, "./internal/coordinator")
	g.forbidImport(t, about, about, "google.golang.org/grpc", "net/http", "github.com/spf13/cobra", "html/template")
	g.forbidReach(t, about, module+"/internal/rpc", module+"/internal/web", module+"/internal/push", module+"/internal/agent", module+"/cmd")
}

// The other way round: what is below the core does not know it.
func TestWhatIsBelowTheCoreDoesNotKnowIt(t *testing.T) {
	above := []string{module + "/internal/coordinator", module + "/internal/rpc", module + "/internal/web", module + "/cmd"}
	for _, name := range []string{"store", "identity", "attest", "fault", "artifacts", "config", "render", "seed", "push", "agent", "checks", "durable"} {
		g := list(t, "./internal/"+name)
		g.forbidReach(t, module+"/internal/"+name, above...)
	}
}

func TestEveryInternalPackageSaysWhatItIs(t *testing.T) {
	g := list(t, "./internal/...")
	for _, importPath := range g.paths() {
		p := g[importPath]
		if !under(importPath, module+"/internal") {
			continue
		}
		// Doc is the first sentence of the package comment; one that a list follows ends in a colon.
		if words := strings.Fields(p.Doc); len(words) < 5 || !strings.ContainsAny(p.Doc[len(p.Doc)-1:], ".:") || !strings.HasPrefix(p.Doc, "Package ") {
			t.Errorf("%s: the package comment is no sentence of the form \"Package …\": %q", importPath, p.Doc)
		}
	}
}
