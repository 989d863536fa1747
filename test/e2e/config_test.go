//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A cluster.yaml with a mistake is explained where the mistake is, and leads to nothing.
func TestAWrongClusterConfigIsExplainedAndNothingIsWritten(t *testing.T) {
	tests := []struct {
		name, old, replacement string
		where                  string // the position that is to be named
		mention                string // what the message must speak of
	}{
		{"two masters", "{count: 3}", "{count: 2}", `cluster\.yaml:18:19: `, "1, 3 or 5"},
		{"an unknown key", "cluster: demo", "cluster: demo\nclutser: demo", `cluster\.yaml:6:1: `, "clutser"},
		{"an unknown parameter", "client_port: 2379", "client_prot: 2379", `cluster\.yaml:23:3: `, "client_port"},
		{"a parameter beyond its limits", "client_port: 2379", "client_port: 80", `cluster\.yaml:23:16: `, "1024"},
		{"a bad address", "[10.77.0.1]", "[10.77.0.999]", `cluster\.yaml:13:15: `, "10.77.0.999"},
		{"a role that the bundle does not have", "master: {count: 3}", "master: {count: 3}\n  worker: {}", `cluster\.yaml:19:3: `, "worker"},
		{"a missing bundle", "bundle: .", "bundle: nowhere", `cluster\.yaml:8:9: `, "nowhere"},
		{"no YAML at all", "roles:", "roles: [", `cluster\.yaml:\d+:\d+: `, ""},
	}
	text := readFile(t, filepath.Join(example(), "cluster.yaml"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &coordinator{t: t, dir: t.TempDir()}
			copyPrograms(t, c.dir)
			wrong := strings.Replace(text, tt.old, tt.replacement, 1)
			if wrong == text {
				t.Fatalf("the example's cluster.yaml does not say %q", tt.old)
			}
			writeFile(t, filepath.Join(c.dir, "cluster.yaml"), clusterHere(t, c.dir, wrong))
			before := names(t, c.dir)
			r := c.want(2, "genconf")
			if !regexp.MustCompile(tt.where).MatchString(r.err) || !strings.Contains(r.err, tt.mention) || !strings.Contains(r.err, "remedy: ") {
				t.Errorf("genconf said this, want the position %s, %q and a remedy:\n%s", tt.where, tt.mention, r.err)
			}
			if after := names(t, c.dir); !slices.Equal(before, after) || r.out != "" {
				t.Errorf("genconf wrote: %v after %v, and on standard output %q", after, before, r.out)
			}
		})
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
