package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
)

// told keeps what a Teller is told.
type told struct {
	steps  []string
	phases []hosts.Phase
	failed error
}

func (t *told) Phase(p hosts.Phase) error { t.phases = append(t.phases, p); return nil }

func (t *told) Step(p hosts.Phase, name, message string, _ time.Duration, err error) error {
	t.steps = append(t.steps, fmt.Sprintf("%s %s: %s", p, name, message))
	if err != nil {
		t.failed = err
	}
	return nil
}

func (t *told) Check(checks.Result) error             { return nil }
func (t *told) Progress(string, int64, int64, string) {}

// publisherSite is an installation in a private root whose plan is bound already.
func publisherSite(t *testing.T, m *manifest.Manifest) (*installation, *told) {
	t.Helper()
	out := &told{}
	m.ConfigID, m.Late.Marker = manifest.ConfigID(strings.Repeat("c", 64)), late.Marker([32]byte{})
	i := &installation{
		layout: Layout{t.TempDir()}, cluster: "demo", tell: out, manifest: m,
		plan: Plan{Role: "node", Late: map[string]string{"Host.Name": "one", "Host.Address": "10.0.0.1"}},
	}
	generation := i.layout.generation("demo", i.plan.generationID(m))
	if err := os.MkdirAll(filepath.Join(generation, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(generation, "etc/app.conf"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	return i, out
}

// fake stands for one of the agent's own steps.
func fake(phase hosts.Phase, name string) step {
	return step{phase, name, func(*installation, context.Context) (string, error) { return "", nil }}
}

var fakeInstall = []step{fake(hosts.Installing, "bind"), fake(hosts.Installing, "activate"), fake(hosts.Starting, "start"), fake(hosts.Postflight, "postflight")}

func TestThePublishersStepsRunAtTheirMoments(t *testing.T) {
	var steps []manifest.Step
	for _, when := range []manifest.Moment{manifest.AfterStart, manifest.BeforeStart, manifest.AfterActivate, manifest.BeforeActivate} {
		for _, n := range []string{"b", "a"} {
			steps = append(steps, manifest.Step{
				Name: string(when) + "-" + n, When: when, Timeout: time.Minute, Remedy: "r",
				Script: "echo first; echo $MUSTER_CLUSTER $MUSTER_ROLE $MUSTER_HOST_NAME $MUSTER_HOST_ADDRESS $(basename $MUSTER_GENERATION | cut -c1-4)",
			})
		}
	}
	i, out := publisherSite(t, &manifest.Manifest{Steps: steps})
	if err := i.run(context.Background(), fakeInstall, hosts.Done); err != nil {
		t.Fatal(err)
	}
	const said = "demo node one 10.0.0.1 cccc\nfirst\ndemo node one 10.0.0.1 cccc"
	want := []string{
		"installing bind: ",
		"installing step before-activate-b: " + said, "installing step before-activate-a: " + said,
		"installing activate: ",
		"installing step after-activate-b: " + said, "installing step after-activate-a: " + said,
		"starting step before-start-b: " + said, "starting step before-start-a: " + said,
		"starting start: ",
		"starting step after-start-b: " + said, "starting step after-start-a: " + said,
		"postflight postflight: ",
	}
	if !slices.Equal(out.steps, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(out.steps, "\n"), strings.Join(want, "\n"))
	}
	if out.phases[len(out.phases)-1] != hosts.Done {
		t.Errorf("phases %v", out.phases)
	}
}

func TestAStepThatFailsEndsTheInstallationWithItsRemedy(t *testing.T) {
	tests := map[string]struct{ script, message, detail string }{
		"by its exit status": {"echo looking; echo no such thing >&2; exit 7", "step a ended with exit status 7", "looking\nno such thing"},
		"by taking too long": {"echo began; sleep 60", "step a was not done within 1s and was ended", "began"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i, out := publisherSite(t, &manifest.Manifest{Steps: []manifest.Step{
				{Name: "a", When: manifest.BeforeActivate, Timeout: time.Second, Remedy: "mend it", Script: tt.script, Once: true},
				{Name: "b", When: manifest.BeforeActivate, Timeout: time.Second, Remedy: "r", Script: "touch " + filepath.Join(t.TempDir(), "never")},
			}})
			if err := i.run(context.Background(), fakeInstall, hosts.Done); err != nil {
				t.Fatal(err)
			}
			if out.failed == nil || out.failed.Error() != tt.message || fault.Remedy(out.failed) != "mend it" || strings.TrimSpace(detailOf(out.failed)) != tt.detail {
				t.Errorf("failed with %v, remedy %q, detail %q", out.failed, fault.Remedy(out.failed), detailOf(out.failed))
			}
			if out.phases[len(out.phases)-1] != hosts.Failed || len(out.steps) != 2 {
				t.Errorf("phases %v, steps %v", out.phases, out.steps)
			}
			if exists(i.layout.once("demo", "a")) {
				t.Error("a step that failed is marked as done")
			}
		})
	}
}

func TestAStepThatIsToRunOnceRunsAgainOnlyUntilItWentWell(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	i, out := publisherSite(t, &manifest.Manifest{Steps: []manifest.Step{
		{Name: "a", When: manifest.AfterActivate, Timeout: time.Minute, Remedy: "r", Once: true, Script: "echo x >> " + count + "; [ $(wc -l < " + count + ") -ge 2 ]"},
		{Name: "b", When: manifest.AfterActivate, Timeout: time.Minute, Remedy: "r", Script: "echo x >> " + count + "-b"},
	}})
	for range 4 {
		if err := i.run(context.Background(), fakeInstall, hosts.Done); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]int{count: 2, count + "-b": 3} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "x") != want {
			t.Errorf("%s: %q, %v, want %d runs", file, text, err, want)
		}
	}
	if last := out.steps[len(out.steps)-4]; last != "installing step a: done before on this host" {
		t.Errorf("told %q", last)
	}
}

func TestAnInterruptedStepIsNotToldAsFailed(t *testing.T) {
	i, out := publisherSite(t, &manifest.Manifest{Steps: []manifest.Step{
		{Name: "a", When: manifest.BeforeActivate, Timeout: time.Minute, Remedy: "r", Script: "sleep 60"},
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := i.run(ctx, fakeInstall, hosts.Done); err == nil || out.failed != nil {
		t.Errorf("run gave %v, told %v", err, out.failed)
	}
}
