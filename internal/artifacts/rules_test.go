package artifacts_test

import (
	"errors"
	"strings"
	"testing"

	"muster/internal/artifacts"
	"muster/internal/config"
)

const twoRules = `
rules:
  - assert: ge .Param.timeout (mul 5 .Param.beat)
    message: The timeout must be at least five beats.
    remedy: Raise timeout, or lower beat.
    keys: [timeout, beat]
  - assert: '{{ lt (bytes .Param.disk.low) (bytes .Param.disk.high) }}'
    message: low must be below high
    remedy: Lower disk.low.
    keys: [disk.low, disk.high]
`

func TestRulesAreAskedBetweenParameters(t *testing.T) {
	const both = "demo/cluster.yaml:7:43: parameters.timeout: The timeout must be at least five beats: timeout is 400 (line 7, column 43), beat is 100 (line 7, column 29)"
	for name, tt := range map[string]struct{ parameters, want string }{
		"kept by the defaults":       {"", ""},
		"kept":                       {"timeout: 500, beat: 100", ""},
		"broken by both":             {"port: 1, beat: 100, timeout: 400", both},
		"broken by one":              {"beat: 300", "demo/cluster.yaml:7:20: parameters.beat: The timeout must be at least five beats: timeout is 1000 (the default), beat is 300 (line 7, column 20)"},
		"not asked without a value":  {"disk: {low: 2GiB}", ""},
		"broken, and so a probe":     {"port: 0, beat: 300", "demo/cluster.yaml:7:29: parameters.beat: The timeout must be at least five beats: timeout is 1000 (the default), beat is 300 (line 7, column 29)"},
		"broken deep in a parameter": {"disk: {low: 2GiB, high: 1GiB}", `demo/cluster.yaml:7:26: parameters.disk.low: low must be below high: disk.low is "2GiB" (line 7, column 26), disk.high is "1GiB" (line 7, column 38)`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.edit("demo/bundle.yaml", "    greeting:", `    beat: {type: integer, default: 100}
    timeout: {type: integer, default: 1000}
    disk: {type: object, properties: {low: {format: bytes}, high: {format: bytes}}}
    greeting:`)
			s.edit("demo/bundle.yaml", "packages:\n", twoRules[1:]+"packages:\n")
			s.edit("demo/cluster.yaml", "hosts:", "parameters: {"+tt.parameters+"}\nhosts:")
			got := ""
			if err := artifacts.Check(t.Context(), s.load(), artifacts.Options{}); err != nil {
				got = strings.ReplaceAll(err.Error(), s.dir+"/", "")
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestBrokenRulesAreSaidBesideWhatElseIsWrong(t *testing.T) {
	const (
		unknown = `demo/cluster.yaml:7:1: prot: unknown key`
		port    = `demo/cluster.yaml:8:20: parameters.port: must be a whole number, got the text "x"`
		beat    = "demo/cluster.yaml:8:29: parameters.beat: The timeout must be at least five beats: timeout is 1000 (the default), beat is 300 (line 8, column 29)"
	)
	for name, tt := range map[string]struct{ parameters, want string }{
		"an unknown key":                       {"port: 1000, beat: 300", unknown + "\n" + strings.Replace(strings.Replace(beat, "8:29", "8:32", 1), "column 29", "column 32", 1)},
		"another parameter":                    {"port: x, beat: 300", unknown + "\n" + port + "\n" + beat},
		"a parameter of the rule":              {"beat: x, timeout: 1", unknown + "\n" + strings.Replace(port, "port", "beat", 1)},
		"a value in a parameter of the rule":   {"disk: {low: 2GiB, high: x}", unknown + "\n" + `demo/cluster.yaml:8:38: parameters.disk.high: "x" is not a number of bytes`},
		"a mapping with a value that it is on": {"disk: 5", unknown + "\n" + "demo/cluster.yaml:8:20: parameters.disk: must be a mapping, got the number 5"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.edit("demo/bundle.yaml", "    greeting:", `    beat: {type: integer, default: 100}
    timeout: {type: integer, default: 1000}
    disk: {type: object, properties: {low: {format: bytes}, high: {format: bytes}}}
    greeting:`)
			s.edit("demo/bundle.yaml", "packages:\n", twoRules[1:]+"packages:\n")
			s.edit("demo/cluster.yaml", "hosts:", "prot: 1\nparameters: {"+tt.parameters+"}\nhosts:")
			c, problems := config.LoadClusterAnd(s.path("demo/cluster.yaml"), artifacts.BrokenRules)
			if got := strings.ReplaceAll(problems.Error(), s.dir+"/", ""); got != tt.want || c != nil {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestRulesCanBeAboutDiscovery(t *testing.T) {
	for name, tt := range map[string]struct{ cluster, want string }{
		"kept": {"", ""},
		"broken": {
			"endpoint: db.example.com\ndiscovery: endpoint\nparameters: {beat: 2}\n",
			`demo/cluster.yaml:9:20: parameters.beat: Beats need the members' names: beat is 2 (line 9, column 20), discovery is "endpoint" (line 8, column 12)`,
		},
		"broken with a default": {
			"endpoint: db.example.com\ndiscovery: endpoint\n",
			`demo/cluster.yaml:8:12: discovery: Beats need the members' names: beat is 1 (the default), discovery is "endpoint" (line 8, column 12)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.edit("demo/bundle.yaml", "    greeting:", "    beat: {type: integer, default: 1}\n    greeting:")
			s.edit("demo/bundle.yaml", "packages:\n", `rules:
  - assert: ne .Cluster.Discovery "endpoint"
    message: Beats need the members' names
    remedy: Choose discovery coordinator.
    keys: [beat, discovery]
packages:
`)
			s.edit("demo/cluster.yaml", "hosts:", tt.cluster+"hosts:")
			got := ""
			if err := artifacts.Check(t.Context(), s.load(), artifacts.Options{}); err != nil {
				got = strings.ReplaceAll(err.Error(), s.dir+"/", "")
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestRulesThatCannotBeEvaluatedAreThePublishers(t *testing.T) {
	for rule, want := range map[string]string{
		"'{{ .Param.port }}'":             "rules[0].assert: the rule prints \"4000\", not true or false",
		"'{{ if'":                         "rules[0].assert: ",
		"eq .Param.prot 1":                `rules[0].assert: unknown parameter .Param.prot; did you mean ".Param.port"?`,
		"lt (duration .Param.greeting) 1": `rules[0].assert: `,
		"eq .Host.Name .Param.greeting":   `rules[0].assert: unknown value .Host`,
		"gt (div .Param.port 0) 1":        `rules[0].assert: `,
	} {
		s := newSite(t)
		s.edit("demo/bundle.yaml", "packages:\n", "rules: [{assert: \""+strings.Trim(rule, "'")+"\", message: m, remedy: r, keys: [port]}]\npackages:\n")
		err := artifacts.Check(t.Context(), s.load(), artifacts.Options{})
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != 18 || !strings.Contains(problems[0].String(), want) || problems[0].Remedy == "" {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
