package web_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
)

// A real browser follows the link, is logged in by the script, and runs nothing that a host said.
func TestABrowserFollowsTheLink(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("NO BROWSER HERE: install chromium to see the page in one")
	}
	const evil = `<script>document.title="stolen"</script>`
	s := newPageSite(t, []hosts.Host{{
		ID: "h1", Role: manifest.Role("agent"), Phase: hosts.Failed, PhaseSince: began, Attempt: 1, Enrolled: began,
		Facts:  hosts.Facts{Name: "node1", Address: "10.0.0.1"},
		Failed: &hosts.Failure{Step: "preflight", Message: evil, Remedy: "stop what listens there"},
	}}, nil)
	link := "http://" + s.at + "/login#" + s.code(socket)
	profile := t.TempDir()
	open := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// Without a sandbox, because Chromium has none for root; without anything that asks other machines.
		args := []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--user-data-dir=" + profile,
			"--virtual-time-budget=5000", "--dump-dom", link,
		}
		dom, err := exec.CommandContext(ctx, chromium, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(dom)
	}
	dom := open()
	for _, want := range []string{"<title>hosts – demo</title>", "node1", "10.0.0.1", "stolen"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the browser shows no %q:\n%s", want, dom)
		}
	}
	if strings.Contains(dom, evil) {
		t.Error("the browser took what the host said for its own")
	}
	if dom := open(); strings.Contains(dom, "node1") || !strings.Contains(dom, "coordinator page") {
		t.Errorf("the link was good twice:\n%s", dom)
	}
}
