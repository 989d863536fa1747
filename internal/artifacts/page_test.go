package artifacts_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
)

const page = "../../docs/bundle.md"

// The example on the page is what publishers copy.
func TestTheExampleOnThePageIsTrue(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	blocks := regexp.MustCompile("(?ms)^```[a-z]+ (\\S+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, b := range blocks {
		s.write("clock/"+b[1], b[2])
		if strings.HasPrefix(b[2], "#!") {
			s.must(os.Chmod(s.path("clock/"+b[1]), 0o755))
		}
	}
	if len(blocks) != 8 {
		t.Fatalf("the page has %d files", len(blocks))
	}
	found, err := artifacts.Lint(t.Context(), s.path("clock"))
	s.must(err)
	if len(found) > 0 {
		t.Error(found)
	}
	c, problems := config.LoadCluster(s.path("clock/cluster.yaml"))
	if problems != nil {
		t.Fatal(problems)
	}
	_, err = artifacts.Generate(t.Context(), c, s.options())
	s.must(err)
}

// The fragments before it are read, too, each in a bundle that has what they refer to.
func TestTheFragmentsOnThePageAreTrue(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const around = `
bundle: 1
name: app
version: "1"
roles: {master: {counts: [1, 3]}, agent: {}}
parameters: {properties: {election_timeout: {format: duration}, heartbeat: {format: duration}, port: {format: port}}}
`
	fragments := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, f := range fragments {
		if strings.HasPrefix(f[1], "bundle: vendor") {
			_, problems := config.ParseCluster("cluster.yaml", []byte(f[1]+"cluster: a\ncoordinator: {addresses: [10.0.0.1]}\n"), nil)
			if problems != nil {
				t.Error(problems)
			}
			continue
		}
		whole := f[1]
		for line := range strings.Lines(around) {
			if key, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(whole, key+":") {
				whole += line
			}
		}
		if _, problems := config.ParseBundle("bundle.yaml", []byte(whole)); problems != nil {
			t.Errorf("%s\n%v", whole, problems)
		}
	}
	if len(fragments) < 9 {
		t.Errorf("the page has %d fragments", len(fragments))
	}
}
