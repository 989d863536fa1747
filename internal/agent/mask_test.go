package agent

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
)

func planWith(secrets map[string]string) Plan {
	values := late.Values{"Host.Name": "h1"}
	for name, value := range secrets {
		values.SetSecret(name, []byte(value))
	}
	return Plan{Late: values, SecretsID: strings.Repeat("0a", 16)}
}

func TestWhatIsMasked(t *testing.T) {
	const value = `hunter2/"x" y`
	m := newMask(planWith(map[string]string{"pw": value, "pem": "-----BEGIN X-----\nMIIEvAIBADANBg\n-----END X-----\n", "pin": "abc"}).Late)
	auth := base64.StdEncoding.EncodeToString([]byte("admin:" + value))
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "all is well", "all is well"},
		{"the value", "login as " + value + " failed", "login as [secret pw] failed"},
		{"the value, twice", value + value, "[secret pw][secret pw]"},
		{"as JSON", `{"p":"hunter2/\"x\" y"}`, `{"p":[secret pw]}`},
		{"in JSON", `"postgres://hunter2/\"x\" y@h"`, `"postgres://[secret pw]@h"`},
		{"in a URL", "x:hunter2%2F%22x%22%20y@h", "x:[secret pw]@h"},
		{"in hex", hex.EncodeToString([]byte(value)), "[secret pw]"},
		{"as base64", base64.StdEncoding.EncodeToString([]byte(value)), "[secret pw]=="},
		{"a line of a file", "bad line MIIEvAIBADANBg here", "bad line [secret pem] here"},
		{"what is too short to be told from other text", "abc", "abc"},
		{"the beginning, where a line was cut", "login as hunter2/…", "login as [secret pw]…"},
		{"the end, where an output was cut", "…2/\"x\" y is wrong", "…[secret pw] is wrong"},
		{"both ends of what was left out", "as hunter2\n… 99 bytes left out …\n\"x\" y is wrong", "as [secret pw]\n… 99 bytes left out …\n[secret pw] is wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := m.text(c.text); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := m.text(auth); strings.Contains(got, auth[len("YWRtaW46"):len(auth)-4]) {
		t.Fatalf("a header is left as %q", got)
	}
	if got := newMask(nil).text(value); got != value {
		t.Fatalf("got %q", got)
	}
}

func TestNoFormOfASecretIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[!-~]{8,40}`).Draw(t, "value")
		around := rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "around")
		m := newMask(planWith(map[string]string{"k": value}).Late)
		for _, form := range []string{
			value, url.PathEscape(value), hex.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte(value)),
			base64.URLEncoding.EncodeToString([]byte(value)),
		} {
			if strings.Contains(url.PathEscape(value), form) && form != value && strings.Contains(form, "%") {
				continue // this escaping leaves characters that ours does not; the value itself is what counts
			}
			got := m.text(around + "<" + form + ">" + around)
			if strings.Contains(got, value) || !strings.Contains(got, "[secret k]") {
				t.Fatalf("%q is left as %q", form, got)
			}
		}
	})
}

// heard keeps what it is told.
type heard struct{ all []string }

func (o *heard) Phase(hosts.Phase) error { return nil }
func (o *heard) Step(_ hosts.Phase, name, message string, _ time.Duration, err error) error {
	o.all = append(o.all, name, message)
	if err != nil {
		o.all = append(o.all, err.Error(), fault.Remedy(err), detailOf(err))
	}
	return nil
}
func (o *heard) Check(r checks.Result) error {
	o.all = append(o.all, r.Summary, r.Detail, r.Remedy)
	return nil
}
func (o *heard) Progress(step string, _, _ int64, waiting string) {
	o.all = append(o.all, step, waiting)
}

func TestEverythingThatIsToldIsMasked(t *testing.T) {
	const canary = "canary-password"
	o := &heard{}
	teller := maskedTeller(o, planWith(map[string]string{"k": canary}))
	failure := &detailed{fault: fault.New(fault.Invalid, "remove "+canary, "it says %s", canary).Because(errors.New(canary)), detail: "log\n" + canary}
	must(t, teller.Step(hosts.Starting, "start", canary, 0, failure))
	must(t, teller.Step(hosts.Starting, "start", "fine", 0, nil))
	must(t, teller.Check(checks.Result{Summary: canary, Detail: canary, Remedy: canary}))
	teller.Progress("start", 0, 0, "waiting for "+canary)
	all := strings.Join(o.all, "\n")
	if strings.Contains(all, canary) || strings.Count(all, "[secret k]") != 9 {
		t.Fatalf("told:\n%s", all)
	}
}

func TestTheNameOfAGenerationTellsNothingOfSecrets(t *testing.T) {
	m := &manifest.Manifest{ConfigID: manifest.ConfigID(strings.Repeat("c", 64))}
	plan := planWith(map[string]string{"k": "canary-password"})
	before := plan.generationID(m)
	same := planWith(map[string]string{"k": "another-password"})
	if same.generationID(m) != before {
		t.Error("the name depends on the value itself")
	}
	same.SecretsID = strings.Repeat("0b", 16)
	if same.generationID(m) == before {
		t.Error("a changed secret gives no new generation")
	}
	same = planWith(map[string]string{"k": "canary-password"})
	same.Late["Host.Name"] = "h2"
	if same.generationID(m) == before {
		t.Error("another name of the host gives no new generation")
	}
	if plan.Late["Secret.k"] == "" {
		t.Error("the plan has lost its secret")
	}
}

func TestAPlanWithSecretsNeedsAName(t *testing.T) {
	m := &manifest.Manifest{Cluster: "demo"}
	plan := planWith(map[string]string{"k": "canary-password"})
	must(t, plan.check(m, "demo"))
	plan.SecretsID = ""
	if err := plan.check(m, "demo"); !errors.Is(err, fault.Invalid) || fault.Remedy(err) == "" {
		t.Fatalf("error %v", err)
	}
}
