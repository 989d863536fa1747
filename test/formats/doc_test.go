package formats

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/manifest"
	"muster/internal/seed"
	"muster/internal/seed/script"
)

// userData is that of hosts that join by a policy: it holds no secret.
func userData(t *testing.T, format script.Format) []byte {
	t.Helper()
	ca, err := os.ReadFile("../../internal/seed/testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	agent := seed.Agent{Digest: manifest.Digest(strings.Repeat("0123", 16)), Size: 10 << 20}
	text, err := script.UserData(&seed.Seed{
		Format: seed.Format, Cluster: "demo", Coordinators: []string{"coordinator.example.com:8443"}, CA: string(ca), AWSPolicy: "workers",
		Agents:  map[manifest.Arch]seed.Agent{"amd64": agent, "arm64": agent},
		Sources: []string{"http://coordinator.example.com:8080"},
	}, format)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// snippets are the blocks of a language on the page on AWS.
func snippets(t *testing.T, language string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, block := range strings.Split("\n"+string(page), "\n```"+language+"\n")[1:] {
		text, _, closed := strings.Cut(block, "\n```\n")
		if !closed {
			t.Fatalf("a block of %s has no end", language)
		}
		found = append(found, text+"\n")
	}
	if len(found) == 0 {
		t.Fatalf("the page has no %s", language)
	}
	return found
}

func write(t *testing.T, mode os.FileMode, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}
