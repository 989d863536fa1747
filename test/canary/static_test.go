package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/agent"
	"muster/internal/fault"
	"muster/internal/manifest"
)

func TestSecretsAreHandedOverToAHostWithoutACoordinator(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("installing needs root")
	}
	s := newSite(t)
	s.run("", "genconf", "--agents", s.path("agents"))
	s.run(s.given["line"], "secret", "set", "line")
	s.run(s.given["text"], "secret", "set", "text")
	s.write("sources/binary", s.given["binary"], 0o600)
	s.runWith([]string{"CANARY_PEM=" + s.given["pem"]}, "", "secret", "load")
	var generation struct {
		Roles []struct {
			Name     manifest.Role `json:"name"`
			Manifest manifest.Blob `json:"manifest"`
		} `json:"roles"`
	}
	if err := json.Unmarshal([]byte(s.read("genconf/generation.json")), &generation); err != nil {
		t.Fatal(err)
	}
	root := s.root()
	install := func(secrets string, preflightOnly bool) (string, error) {
		var out bytes.Buffer
		err := agent.InstallStatic(context.Background(), agent.Layout{Root: root}, agent.Static{
			Role: "master", Manifest: generation.Roles[0].Manifest, Sources: []string{"file://" + s.path("genconf")}, Out: &out,
			Secrets: secrets, PreflightOnly: preflightOnly,
		})
		return out.String(), err
	}
	if out, err := install("", true); err != nil {
		t.Fatalf("preflight needs no secrets: %v\n%s", err, out)
	}
	if _, err := install("", false); !errors.Is(err, fault.Invalid) || !strings.Contains(fault.Remedy(err), "coordinator secret export --role master") {
		t.Fatalf("error %v, remedy %q", err, fault.Remedy(err))
	}
	if _, err := os.Stat(filepath.Join(root, "opt/demo/generations")); err == nil {
		t.Fatal("something was installed")
	}
	// A member that is listed by its address alone is called by its role and index.
	s.write("handover.json", s.run("", "secret", "export", "--role", "master", "--host", "master-0"), 0o600)
	out, err := install(s.path("handover.json"), false)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "[secret line]") || strings.Contains(out, s.given["line"]) {
		t.Errorf("what the check printed is not masked:\n%s", out)
	}
	for name, want := range s.given {
		if got := s.read("host/opt/demo/current/etc/" + name); got != want {
			t.Errorf("secret %s was installed as %q, given as %q", name, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/bootstrap-agent")); err == nil {
		t.Error("the agent has left its directory behind")
	}
}
