package formats

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/seed/script"
)

// runCommands runs the page's commands by bash where these files are and aws only notes how it is called. It gives the
// calls and the file that was made.
func runCommands(t *testing.T, commands string, files map[string]string, made string) (calls []string, text string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, 0o600, text, dir, name)
	}
	file := write(t, 0o600, "set -eu\n"+commands, dir, "commands")
	if out, err := exec.Command("bash", "-n", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	bin := t.TempDir()
	write(t, 0o755, "#!/bin/sh\necho \"$*\" >>"+dir+"/calls\n", bin, "aws")
	cmd := exec.Command("bash", file)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "IMAGE=ami-0123456789abcdef0", "SUBNETS=subnet-1,subnet-2", "SECURITY_GROUPS=sg-1,sg-2"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := os.ReadFile(filepath.Join(dir, made))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(said)), "\n"), string(result)
}

func TestTheCommandLineMakesALaunchTemplate(t *testing.T) {
	text := userData(t, script.CloudConfig)
	calls, file := runCommands(t, snippets(t, "sh")[1], map[string]string{"user-data": string(text)}, "launch-template.json")
	want := []string{
		"ec2 create-launch-template --launch-template-name demo-agent --launch-template-data file://launch-template.json",
		"autoscaling create-auto-scaling-group --auto-scaling-group-name demo-agent --min-size 3 --max-size 3 " +
			"--vpc-zone-identifier subnet-1,subnet-2 --launch-template LaunchTemplateName=demo-agent,Version=$Latest",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("aws was called with %q, want %q", calls, want)
	}
	var data struct {
		ImageID          string `json:"ImageId"`
		InstanceType     string
		SecurityGroupIds []string
		MetadataOptions  map[string]any
		UserData         string
	}
	d := json.NewDecoder(strings.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&data); err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	if !slices.Equal(data.SecurityGroupIds, []string{"sg-1", "sg-2"}) || data.ImageID != "ami-0123456789abcdef0" {
		t.Errorf("the launch template is %+v", data)
	}
	options := make(map[string]string)
	for name, value := range data.MetadataOptions {
		options[name] = fmt.Sprint(value)
	}
	wantLaunchTemplate(t, options, data.UserData, text)
}

func TestThePageHasNoSecretAndNoPlaceOfOne(t *testing.T) {
	page, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"mt1.", "AKIA", "BEGIN CERTIFICATE", "PRIVATE KEY", "YOUR_", "CHANGEME", "<token>"} {
		if strings.Contains(string(page), words) {
			t.Errorf("the page has %q", words)
		}
	}
}
