package coordinator_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/handover"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/secrets"
	syncv1 "muster/proto/muster/sync/v1"
)

const canary = "canary-password"

// newSecretSite has secrets: given, for masters and public agents; made, for masters; own, for public agents.
func newSecretSite(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	s.generation.Secrets = []manifest.Secret{
		{Name: "given", Roles: []manifest.Role{"master", "public-agent"}, Given: &manifest.Form{Format: "line", MinLength: 8}},
		{Name: "made", Roles: []manifest.Role{"master"}, Generate: &manifest.Recipe{Bytes: 32, Format: "hex"}},
		{Name: "own", Roles: []manifest.Role{"public-agent"}, PerHost: true, Generate: &manifest.Recipe{Bytes: 32, Format: "base64url"}},
	}
	s.manifests["master"].Late = manifest.LateTable{Slots: []manifest.Slot{
		{Ref: "Host.Name"}, {Ref: "Secret.given", Encode: []string{"systemd"}}, {Ref: "Secret.made", Encode: []string{"raw"}},
	}}
	s.manifests["public-agent"].Late = manifest.LateTable{Slots: []manifest.Slot{
		{Ref: "Host.Name"}, {Ref: "Secret.given", Encode: []string{"raw"}}, {Ref: "Secret.own", Encode: []string{"raw"}},
	}}
	s.vaulted()
	return s
}

// vaulted is another process on the same store, with the secrets.
func (s *site) vaulted() {
	s.Helper()
	if err := s.tryVaulted(); err != nil {
		s.Fatal(err)
	}
}

func (s *site) tryVaulted() error {
	vault, err := secrets.Open(context.Background(), filepath.Join(filepath.Dir(s.path), "secrets.key"), s.store)
	if err != nil {
		return err
	}
	s.core, err = coordinator.New(context.Background(), coordinator.Options{
		Store: s.store, CA: s.ca, Generation: s.generation, Manifests: s.manifests, Clock: s.clock.Now, Vault: vault,
	})
	return err
}

func (s *site) set(name, value string) {
	s.Helper()
	if _, _, err := s.core.SetSecret(context.Background(), operator, name, []byte(value), secrets.Set); err != nil {
		s.Fatal(err)
	}
}

// installs brings a host to the directive to install and answers its plan.
func (h *host) installs() *syncv1.Plan {
	h.Helper()
	d := h.says(hosts.Preflight, hosts.Ready)
	if d.GetInstall() == nil {
		h.Fatalf("the host is told %v", d)
	}
	return d.GetInstall()
}

func secretsOf(p *syncv1.Plan) map[string]string { return late.Values(p.GetLate()).Secrets() }

func TestAHostWaitsForASecretAndGoesOnWhenItIsSet(t *testing.T) {
	s := newSecretSite(t)
	h := s.join("public-agent", 1)
	if p := h.asks().GetPreflight(); p == nil || len(secretsOf(p)) > 0 || p.SecretsId != "" {
		t.Fatalf("preflight plan %v", p)
	}
	d := h.says(hosts.Preflight, hosts.Ready)
	if got, want := d.GetWait().GetReason(), "waiting for secret given: coordinator secret set given"; got != want {
		t.Fatalf("the host is told %q, want %q", got, want)
	}
	answer := h.waits(d.Id, 10*time.Second)
	s.set("given", canary)
	plan := (<-answer).GetDirective().GetInstall()
	if got := secretsOf(plan); got["given"] != canary || len(got["own"]) != 43 || len(got) != 2 {
		t.Fatalf("secrets %q", got)
	}
	s.wantEvent("secret-set", "secret given was set")
}

func TestARoleIsSentWhatItMayReadAndUses(t *testing.T) {
	s := newSecretSite(t)
	s.set("given", canary)
	masters := []*host{s.join("master", 1), s.join("master", 2), s.join("master", 3)}
	agent, one, other := s.join("agent", 4), s.join("public-agent", 5), s.join("public-agent", 6)
	master := secretsOf(masters[0].installs())
	if len(master) != 2 || master["given"] != canary || len(master["made"]) != 64 {
		t.Fatalf("a master has %q", master)
	}
	if again := secretsOf(masters[1].installs()); again["made"] != master["made"] {
		t.Fatal("two masters have different values of a secret of the cluster")
	}
	if p := agent.installs(); len(secretsOf(p)) > 0 || p.SecretsId != "" {
		t.Fatalf("an agent has %v", p)
	}
	first, second := one.installs(), other.installs()
	if secretsOf(first)["own"] == secretsOf(second)["own"] || secretsOf(first)["own"] == "" {
		t.Fatal("two hosts have the same value of their own")
	}
	if _, ok := secretsOf(first)["made"]; ok {
		t.Fatal("a public agent has the masters' secret")
	}
	s.vaulted()
	if again := one.says(hosts.Ready).GetInstall(); !proto.Equal(again, first) {
		t.Fatal("the plan is another one after a restart")
	}
}

func TestAGenerationThatGivesASecretToAnotherRoleIsNotServed(t *testing.T) {
	for name, slot := range map[string]manifest.Slot{
		"one of another role":      {Ref: "Secret.made", Encode: []string{"raw"}},
		"one that nobody declared": {Ref: "Secret.other", Encode: []string{"raw"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecretSite(t)
			s.manifests["agent"].Late.Slots = append(s.manifests["agent"].Late.Slots, slot)
			if err := s.tryVaulted(); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "role agent") {
				t.Fatalf("error %v", err)
			}
		})
	}
	s := newSecretSite(t)
	if _, err := s.serve(); err == nil {
		t.Fatal("a generation with secrets is served without a vault")
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	s := newSecretSite(t)
	before := s.state()
	for _, c := range []struct {
		name, secret, value string
		origin              secrets.Origin
		class               fault.Class
		want                string
	}{
		{"an unknown secret", "other", canary, secrets.Set, fault.NotFound, `the bundle declares no secret "other"`},
		{"one of every host's own", "own", canary, secrets.Set, fault.Invalid, "every host has its own value"},
		{"too short", "given", "short", secrets.Set, fault.Invalid, "has 5 bytes"},
		{"two lines", "given", canary + "\n" + canary, secrets.Set, fault.Invalid, "is not one line"},
		{"what a unit cannot hold", "given", canary + "$", secrets.Set, fault.Invalid, "cannot be written where role master uses it"},
		{"an origin that it cannot have", "given", canary, secrets.Generated, fault.Invalid, "cannot come from"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := s.core.SetSecret(context.Background(), operator, c.secret, []byte(c.value), c.origin)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.want) || fault.Remedy(err) == "" || strings.Contains(err.Error(), canary) {
				t.Fatalf("error %v", err)
			}
		})
	}
	if _, err := s.core.GenerateSecret(context.Background(), operator, "given"); !errors.Is(err, fault.Invalid) {
		t.Fatalf("error %v", err)
	}
	if after := s.state(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Fatal("a refusal changed the state")
	}
	if events := s.events("secret-set"); len(events) > 0 {
		t.Fatalf("events %v", events)
	}
}

func TestAChangedSecretIsAnotherPlan(t *testing.T) {
	s := newSecretSite(t)
	s.set("given", canary)
	h := s.join("public-agent", 1)
	before := h.installs()
	answer := h.waits(h.asks().Id, 10*time.Second)
	s.set("given", canary+"-2")
	after := (<-answer).GetDirective().GetInstall()
	if before.Id == after.GetId() || before.SecretsId == after.GetSecretsId() || secretsOf(after)["given"] != canary+"-2" {
		t.Fatalf("plans %s and %s", before.Id, after.GetId())
	}
	if _, err := s.core.GenerateSecret(context.Background(), operator, "own"); err != nil {
		t.Fatal(err)
	}
	if third := h.asks().GetInstall(); third.SecretsId == after.SecretsId || secretsOf(third)["own"] == secretsOf(after)["own"] {
		t.Fatal("a new seed gave the same value")
	}
	if _, changed, err := s.core.SetSecret(context.Background(), operator, "given", []byte(canary+"-2\n"), secrets.File); err != nil || changed {
		t.Fatalf("the same value is a change (%v)", err)
	}
}

// Whoever sees the names in a plan, a report or a directory cannot try out values.
func TestNoNameIsAPlainDigest(t *testing.T) {
	s := newSecretSite(t)
	s.set("given", canary)
	h := s.join("public-agent", 1)
	d := h.says(hosts.Preflight, hosts.Ready)
	plan := proto.Clone(d.GetInstall()).(*syncv1.Plan)
	names := []string{d.Id, plan.Id, plan.SecretsId}
	var candidates []any
	withoutID := proto.Clone(plan).(*syncv1.Plan)
	withoutID.Id = ""
	directive := proto.Clone(d).(*syncv1.Directive)
	directive.Id = ""
	own := map[string]string{}
	for name, value := range secretsOf(plan) {
		own[late.SecretRef(name)] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	candidates = append(candidates, withoutID, directive, plan, plan.Late, own, []any{"secrets", own}, secretsOf(plan))
	for _, c := range candidates {
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(raw)
		for _, name := range names {
			if len(name) < 16 || strings.HasPrefix(hex.EncodeToString(sum[:]), name) {
				t.Fatalf("%s is the digest of %T", name, c)
			}
		}
	}
	other := newSecretSite(t)
	other.set("given", canary)
	if other.join("public-agent", 1).installs().Id == plan.Id {
		t.Fatal("two coordinators give the same name")
	}
}

func TestRekeyChangesNoPlan(t *testing.T) {
	s := newSecretSite(t)
	s.set("given", canary)
	h := s.join("public-agent", 1)
	before := h.installs()
	if n, err := s.core.RekeySecrets(context.Background(), operator); err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	if after := h.asks().GetInstall(); !proto.Equal(before, after) {
		t.Fatal("the plan changed")
	}
	s.vaulted()
	if after := h.asks().GetInstall(); !proto.Equal(before, after) {
		t.Fatal("the plan changed with a restart")
	}
	s.wantEvent("secrets-rekeyed", "3 secrets")
}

func TestExport(t *testing.T) {
	s := newSecretSite(t)
	ctx := context.Background()
	if _, err := s.core.ExportSecrets(ctx, operator, "master", ""); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "secret given") {
		t.Fatalf("error %v", err)
	}
	s.set("given", canary)
	text, err := s.core.ExportSecrets(ctx, operator, "master", "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := handover.Decode(text)
	if err != nil || f.Role != "master" || f.Cluster != cluster || string(f.Secrets["given"]) != canary || len(f.Secrets) != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	s.wantEvent("secrets-exported", "the secrets of role master were exported")
	for role, class := range map[manifest.Role]fault.Class{"agent": fault.Invalid, "nobody": fault.Invalid, "public-agent": fault.Invalid} {
		if _, err := s.core.ExportSecrets(ctx, operator, role, ""); !errors.Is(err, class) {
			t.Errorf("role %s: error %v", role, err)
		}
	}
	one, err := s.core.ExportSecrets(ctx, operator, "public-agent", "h1")
	other, err2 := s.core.ExportSecrets(ctx, operator, "public-agent", "h2")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	a, _ := handover.Decode(one)
	b, _ := handover.Decode(other)
	if a.Host != "h1" || string(a.Secrets["own"]) == string(b.Secrets["own"]) || a.ID == b.ID {
		t.Fatalf("%+v and %+v", a, b)
	}
}

func TestTheListHasNoValue(t *testing.T) {
	s := newSecretSite(t)
	list, err := s.core.Secrets(context.Background())
	if err != nil || len(list) != 3 || list[0].Remedy != "coordinator secret set given" || list[1].Remedy != "" || list[1].Record.Origin != secrets.Generated {
		t.Fatalf("%+v, %v", list, err)
	}
	s.set("given", canary)
	s.generation.Secrets = s.generation.Secrets[1:]
	s.manifests["master"].Late.Slots = nil
	s.manifests["public-agent"].Late.Slots = nil
	s.vaulted()
	list, err = s.core.Secrets(context.Background())
	if err != nil || len(list) != 3 || list[2].Declared.Name != "given" || list[2].Declared.Roles != nil || list[2].Remedy != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	if strings.Contains(fmt.Sprintf("%+v", list), canary) {
		t.Fatal("the list has the value")
	}
}

// A seed is no value: when the bundle makes a secret every host's own, or stops doing so, there is a new one.
func TestASecretThatBecomesEveryHostsOwnIsMadeAnew(t *testing.T) {
	s := newSecretSite(t)
	s.generation.Secrets[1].PerHost = true
	s.vaulted()
	list, err := s.core.Secrets(context.Background())
	if err != nil || !list[1].Record.PerHost || list[1].Remedy != "" {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestAHostThatIsDoneAndStaysTakesUpASecretThatChanges(t *testing.T) {
	t.Parallel()
	s := newSecretSite(t)
	s.generation.Resident = true
	s.vaulted()
	set := func(value string) {
		t.Helper()
		if _, _, err := s.core.SetSecret(context.Background(), operator, "given", []byte(value), secrets.Set); err != nil {
			t.Fatal(err)
		}
	}
	set(canary)
	h := s.join("public-agent", 60)
	d := h.install()
	wantWait(t, d, "")
	answer := h.waits(d.Id, time.Minute)
	set(canary + "-changed")
	plan := soon(t, answer).Directive.GetInstall()
	if got, _ := base64.StdEncoding.DecodeString(plan.GetLate()["Secret.given"]); string(got) != canary+"-changed" {
		t.Errorf("it is told %q", got)
	}
	// The same value again is no change.
	wantWait(t, h.install(), "")
	set(canary + "-changed")
	wantWait(t, h.asks(), "")
}
