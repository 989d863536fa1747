package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzCluster(f *testing.F) {
	bundle := testBundle(f)
	secret, _ := ParseBundle("bundle.yaml", []byte(concealBundle))
	seed(f, clusterRest, "cluster.txt", "hosts.txt", "parameters.txt", "attestation.txt", "yaml.txt")
	for _, parameters := range concealed {
		f.Add([]byte(clusterRest + parameters + "\n"))
	}
	if data, err := os.ReadFile("testdata/tools/cluster.yaml"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// What a bundle marks as secret is not shown, whatever is around it.
		if c, found := ParseCluster("cluster.yaml", data, secret); c != nil {
			shown := secret.Conceal(c.Parameters, func(string) any { return Masked })
			for _, name := range []string{"password", "keys"} {
				if c.Parameters[name] != nil && shown[name] != Masked {
					t.Errorf("%s is shown as %v", name, shown[name])
				}
			}
		} else if found.Err() == nil {
			t.Error("neither a cluster nor a problem")
		}
		cluster, problems := ParseCluster("cluster.yaml", data, bundle)
		if (cluster == nil) != (problems.Err() != nil) {
			t.Errorf("cluster %v with problems %v", cluster, problems)
		}
		checkProblems(t, data, problems)
		if cluster != nil {
			checkCluster(t, cluster)
		}
		_, problems = ParseCluster("cluster.yaml", data, nil)
		checkProblems(t, data, problems, "parameters")
	})
}

func FuzzBundle(f *testing.F) {
	seed(f, bundleRest, "bundle.txt", "schema.txt", "yaml.txt")
	f.Add([]byte(concealBundle))
	for _, file := range []string{"testdata/bundle.yaml", "testdata/tools/bundle.yaml", "../../examples/etcd/bundle.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle, problems := ParseBundle("bundle.yaml", data)
		if (bundle == nil) != (problems.Err() != nil) {
			t.Errorf("bundle %v with problems %v", bundle, problems)
		}
		checkProblems(t, data, problems)
		if text, _ := ParseBundleText("bundle.yaml", data); (text == nil) != (bundle == nil) {
			t.Error("two ways to read a bundle do not agree")
		} else if text != nil {
			if made := Initial(text, InitialOptions{Bundle: "b", Address: "10.0.0.1"}); len(made) == 0 {
				t.Error("no cluster.yaml is made of it")
			}
			if _, err := ClusterSchema(text); err != nil {
				t.Error(err)
			}
			text.Uses(func(string) ([]byte, error) { return []byte("{{ .Param.a }}"), nil })
		}
		if bundle != nil {
			_, problems = ParseCluster("cluster.yaml", []byte(clusterRest+"parameters: {a: 1, b: {c: [x]}}\n"), bundle)
			checkProblems(t, []byte(clusterRest+"parameters: {a: 1, b: {c: [x]}}\n"), problems, "parameters")
		}
	})
}

func seed(f *testing.F, rest string, files ...string) {
	f.Helper()
	f.Add([]byte(rest))
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", "invalid", file))
		if err != nil {
			f.Fatal(err)
		}
		_, cases := splitCases(string(text))
		for _, c := range cases {
			f.Add([]byte(complete(unescape.Replace(c.text), rest)))
		}
	}
}

// checkProblems checks what holds for every problem: it points into the file, has a remedy and is safe to print, and its
// line is shown, unless that may be one of secrets or of the sections that are named.
func checkProblems(t *testing.T, data []byte, problems Problems, hidden ...string) {
	t.Helper()
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	lines := strings.Split(text, "\n")
	for i, p := range problems {
		if p.Line < 1 || p.Line > len(lines) {
			t.Fatalf("line %d of %d: %v", p.Line, len(lines), p)
		}
		if width := utf8.RuneCountInString(lines[p.Line-1]); p.Column < 1 || p.Column > width+1 {
			t.Errorf("column %d of %d: %v", p.Column, width, p)
		}
		before := strings.Join(lines[:p.Line], "\n")
		conceals := func(section string) bool { return strings.Contains(before, section) }
		if p.Source != lines[p.Line-1] && (p.Source != "" || !slices.ContainsFunc(append(hidden, "secrets"), conceals)) {
			t.Errorf("source %q is not line %d", p.Source, p.Line)
		}
		if p.Message == "" || p.Remedy == "" {
			t.Errorf("no message or no remedy: %+v", p)
		}
		if i > 0 && p.Line < problems[i-1].Line {
			t.Errorf("%v stands behind %v", p, problems[i-1])
		}
	}
	var out bytes.Buffer
	if err := problems.Render(&out); err != nil {
		t.Error(err)
	}
	for _, r := range out.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("the output holds %q:\n%q", r, out.String())
		}
	}
}

// checkCluster checks what the rest of Muster relies on.
func checkCluster(t *testing.T, c *Cluster) {
	t.Helper()
	if !dnsLabel.MatchString(c.Name) || len(c.Name) > maxClusterName {
		t.Errorf("name %q", c.Name)
	}
	if len(c.Coordinator.Addresses) == 0 || c.Coordinator.HTTPPort == c.Coordinator.GRPCPort {
		t.Errorf("coordinator %+v", c.Coordinator)
	}
	members := map[string]int{}
	for _, role := range c.Bundle.Roles {
		if said, ok := c.Roles[role.Name]; !ok || role.Counted() != (said.Count > 0) {
			t.Errorf("role %s: %+v", role.Name, said)
		}
	}
	for _, h := range c.Hosts {
		members[string(h.Role)]++
		if c.Roles[h.Role].Count > 0 && members[string(h.Role)] > c.Roles[h.Role].Count {
			t.Errorf("%d hosts with the role %s", members[string(h.Role)], h.Role)
		}
		if h.Name == "" && !h.Address.IsValid() && !h.CIDR.IsValid() {
			t.Errorf("host %+v", h)
		}
	}
	if c.Parameters["port"] == nil {
		t.Errorf("no default in %v", c.Parameters)
	}
}
