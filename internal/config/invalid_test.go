package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is said now into the testdata files")

// The files in testdata/invalid are specifications: a case is a name after ===, the text of a file, and after >>> the
// problems that must be found in it, word by word. Required keys that a case does not need are added at its end.
var invalidFiles = []struct {
	file  string
	parse func(t *testing.T, data []byte) Problems
	rest  string
}{
	{"cluster.txt", parseTestCluster, clusterRest},
	{"hosts.txt", parseTestCluster, clusterRest},
	{"attestation.txt", parseTestCluster, clusterRest},
	{"parameters.txt", parseTestCluster, clusterRest},
	{"yaml.txt", parseTestCluster, ""},
	{"bundle.txt", parseTestBundle, bundleRest},
	{"schema.txt", parseTestBundle, bundleRest},
}

const clusterRest = `cluster: demo
bundle: app
coordinator: {addresses: [10.0.0.1]}
roles: {master: {count: 3}}
`

const bundleRest = `bundle: 1
name: app
version: "1.0"
roles: {node: {}, proxy: {}}
`

func testBundle(t testing.TB) *Bundle {
	t.Helper()
	data, err := os.ReadFile("testdata/bundle.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b, problems := ParseBundle("bundle.yaml", data)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return b
}

func parseTestCluster(t *testing.T, data []byte) Problems {
	_, problems := ParseCluster("cluster.yaml", data, testBundle(t))
	return problems
}

func parseTestBundle(t *testing.T, data []byte) Problems {
	_, problems := ParseBundle("bundle.yaml", data)
	return problems
}

func TestInvalidFilesAreExplained(t *testing.T) {
	for _, f := range invalidFiles {
		path := filepath.Join("testdata", "invalid", f.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, cases := splitCases(string(text))
		out := head
		for _, c := range cases {
			t.Run(f.file+"/"+c.name, func(t *testing.T) {
				problems := f.parse(t, []byte(complete(unescape.Replace(c.text), f.rest)))
				for _, p := range problems {
					if p.Remedy == "" {
						t.Errorf("no remedy: %v", p)
					}
				}
				got := problems.Error() + "\n"
				if *update {
					c.want = got
				}
				if got != c.want {
					t.Errorf("found\n%swant\n%s", got, c.want)
				}
				if len(problems) == 0 {
					t.Error("nothing was found")
				}
			})
			out += "=== " + c.name + "\n" + c.text + ">>>\n" + c.want + "\n"
		}
		if *update {
			if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// unescape lets the files of cases stay plain text.
var unescape = strings.NewReplacer("<TAB>", "\t", "<ESC>", "\x1b", "<BOM>", "\ufeff", "<CR>", "\r", "<FF>", "\xff", "<LS>", "\u2028", "<NUL>", "\x00")

type invalidCase struct{ name, text, want string }

func splitCases(text string) (head string, cases []invalidCase) {
	parts := strings.Split(text, "=== ")
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		body, want, _ := strings.Cut(rest, ">>>\n")
		cases = append(cases, invalidCase{name, body, strings.TrimSuffix(want, "\n")})
	}
	return parts[0], cases
}

// complete adds the lines of rest whose key the text lacks, unless the text is a mapping in braces.
func complete(text, rest string) string {
	if strings.HasPrefix(text, "{") {
		return text
	}
	for line := range strings.Lines(rest) {
		key, _, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(text, key+":") && !strings.Contains(text, "\n"+key+":") {
			text += line
		}
	}
	return text
}
