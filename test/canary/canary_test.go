// Package canary plants a secret of every kind, has a cluster generated, served and installed, and then looks for the
// secrets everywhere but where they belong.
package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/agent"
)

// rootVariable makes the test program the bootstrap agent of a private root.
const rootVariable = "MUSTER_CANARY_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(rootVariable); root != "" {
		engine, err := agent.NewEngine(agent.Layout{Root: root}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err == nil {
			err = engine.Run(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Where a secret may be on a host while it works: for root alone, and gone afterwards.
var passing = []string{"var/lib/bootstrap-agent/journal", "var/lib/bootstrap-agent/checks/", "var/lib/bootstrap-agent/.muster-tmp-"}

func TestSecretsAreOnlyWhereTheyBelong(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("installing needs root")
	}
	s := newSite(t)
	s.run("", "genconf", "--agents", s.path("agents"))
	// Nothing has been given yet: what is public is looked at in any case.
	s.serve()
	host := s.join("master")
	s.await("the host waits for what is missing", func() bool {
		return strings.Contains(s.run("", "status"), "coordinator secret set line")
	})
	// One by each way that there is.
	s.run(s.given["line"], "secret", "set", "line")
	s.write("text.secret", s.given["text"], 0o600)
	s.run("", "secret", "set", "text", "--from-file", s.path("text.secret"))
	s.write("sources/binary", s.given["binary"], 0o600)
	s.runWith([]string{"CANARY_PEM=" + s.given["pem"]}, "", "secret", "load")

	s.await("the host is done", func() bool {
		s.look(host)
		status := s.run("", "status", "-o", "json")
		if strings.Contains(status, `"failed_step":"`) && !strings.Contains(status, `"failed_step":""`) {
			t.Fatalf("the host failed:\n%s\n%s", s.run("", "status", s.address), host.log())
		}
		return strings.Contains(status, `"phase":"done"`)
	})
	s.await("the agent has left", func() bool { s.look(host); return host.ended() })

	canaries := s.installed(host)
	s.search(canaries, host)
}

// installed reads what was installed: the values that must be nowhere else, and that they came out as they went in.
func (s *site) installed(host *process) map[string]string {
	s.Helper()
	var export struct {
		Secrets map[string][]byte `json:"secrets"`
	}
	if err := json.Unmarshal([]byte(s.run("", "secret", "export", "--role", "master", "--host", "other")), &export); err != nil {
		s.Fatal(err)
	}
	canaries := map[string]string{"pin": s.pin}
	for _, name := range secretNames {
		path := filepath.Join(host.root, "opt/demo/current/etc", name)
		text, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			s.Errorf("%s has mode %v (%v), want 0600", path, info.Mode(), err)
		}
		canaries[name] = string(text)
		if given, ok := s.given[name]; ok && string(text) != given {
			s.Errorf("secret %s was installed as %q, given as %q", name, text, given)
		}
		switch exported := string(export.Secrets[name]); {
		case name == "own" && exported == string(text):
			s.Errorf("two hosts have the same value of their own")
		case name != "own" && exported != string(text):
			s.Errorf("secret %s is exported as another value than is installed", name)
		}
	}
	return canaries
}

// search looks through everything that a secret could have got into.
func (s *site) search(canaries map[string]string, host *process) {
	s.Helper()
	all := s.everything(host)
	if len(all) < 40 {
		s.Errorf("only %d things were searched", len(all))
	}
	for name, value := range canaries {
		for _, form := range formsOf(value) {
			for where, text := range all {
				if strings.Contains(text, form) {
					s.Errorf("secret %s is in %s, as %.40q", name, where, form)
				}
			}
		}
	}
	// The search itself is put to the test: what a check printed was masked, not lost.
	if !strings.Contains(all["output of status of the host"], "[secret line]") {
		s.Errorf("the check's output is not there or not masked:\n%s", all["output of status of the host"])
	}
}

const patience = 90 * time.Second

func (s *site) await(what string, ready func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !ready(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s\n%s", patience, what, s.run("", "status", "--all"))
		}
	}
}
