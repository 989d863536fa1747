package formats

import (
	"encoding/base64"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"muster/internal/seed/script"
)

// template is as much of a CloudFormation template as the page uses. What is another key is an error.
type template struct {
	Parameters map[string]struct {
		Type string `yaml:"Type"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Type       string    `yaml:"Type"`
		Properties yaml.Node `yaml:"Properties"`
	} `yaml:"Resources"`
}

func parseTemplate(t *testing.T, text string) template {
	t.Helper()
	var parsed template
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// references are what !Ref and !GetAtt name. Other intrinsic functions have no place on the page.
func references(t *testing.T, n *yaml.Node) (names []string) {
	t.Helper()
	switch n.Tag {
	case "!Ref":
		names = append(names, n.Value)
	case "!GetAtt":
		name, attribute, _ := strings.Cut(n.Value, ".")
		if attribute != "LatestVersionNumber" {
			t.Errorf("line %d: a launch template has no attribute %q", n.Line, attribute)
		}
		names = append(names, name)
	default:
		if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			t.Errorf("line %d: unknown function %s", n.Line, n.Tag)
		}
	}
	for _, c := range n.Content {
		names = append(names, references(t, c)...)
	}
	return names
}

func TestCloudFormationTakesTheSnippet(t *testing.T) {
	c := parseTemplate(t, snippets(t, "yaml")[0])
	used := make(map[string]bool)
	for name, r := range c.Resources {
		if !strings.HasPrefix(r.Type, "AWS::") || strings.Count(r.Type, "::") != 2 {
			t.Errorf("%s is of type %q", name, r.Type)
		}
		for _, ref := range references(t, &r.Properties) {
			_, parameter := c.Parameters[ref]
			_, resource := c.Resources[ref]
			if used[ref] = true; !parameter && !resource {
				t.Errorf("%s refers to %s, which is not there", name, ref)
			}
		}
	}
	for name := range c.Parameters {
		if !used[name] {
			t.Errorf("the parameter %s is not used", name)
		}
	}
}

// TestCloudFormationGetsTheUserData runs the commands below the template.
func TestCloudFormationGetsTheUserData(t *testing.T) {
	text := userData(t, script.CloudConfig)
	calls, file := runCommands(t, snippets(t, "sh")[0], map[string]string{"agents.yaml": snippets(t, "yaml")[0], "user-data": string(text)}, "agents-ready.yaml")
	if len(calls) != 1 || calls[0] != "cloudformation deploy --stack-name demo-agents --template-file agents-ready.yaml "+
		"--parameter-overrides Image=ami-0123456789abcdef0 Subnets=subnet-1,subnet-2 SecurityGroups=sg-1,sg-2" {
		t.Errorf("aws was called with %q", calls)
	}
	var p struct {
		LaunchTemplateData struct {
			MetadataOptions map[string]string `yaml:"MetadataOptions"`
			UserData        string            `yaml:"UserData"`
			Rest            map[string]any    `yaml:",inline"`
		} `yaml:"LaunchTemplateData"`
	}
	node := parseTemplate(t, file).Resources["AgentTemplate"].Properties
	if err := node.Decode(&p); err != nil {
		t.Fatal(err)
	}
	wantLaunchTemplate(t, p.LaunchTemplateData.MetadataOptions, p.LaunchTemplateData.UserData, text)
}

func wantLaunchTemplate(t *testing.T, options map[string]string, encoded string, text []byte) {
	t.Helper()
	if options["HttpTokens"] != "required" || options["HttpPutResponseHopLimit"] != "1" || options["HttpEndpoint"] != "enabled" {
		t.Errorf("the metadata options are %v", options)
	}
	if got, err := base64.StdEncoding.DecodeString(encoded); err != nil || string(got) != string(text) {
		t.Errorf("the user-data is %q (error %v)", got, err)
	}
}
