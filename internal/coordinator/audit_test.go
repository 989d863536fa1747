package coordinator_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/identity"
	"muster/internal/store"
)

// What strangers cause is bounded by itself, and pushes out nothing that an operator did.
func TestAFloodOfRefusalsPushesOutNoEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.token("agent", 1)
	ctx := context.Background()
	for round := range 22 {
		crowd(1100, func(n int) {
			if err := s.core.Denied(ctx, coordinator.Actor{From: fmt.Sprint(round, "-", n)}, "call-denied", "no"); err != nil {
				t.Error(err)
			}
		})
		s.clock.advance(10 * time.Minute)
	}
	// One kind does not use up the room of another.
	if err := s.core.Turned(ctx, numberedAddress(1), "a replayed proof"); err != nil {
		t.Fatal(err)
	}
	s.wantEvent("enrolment-denied", "a replayed proof")
	if err := s.core.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := s.core.Events(ctx, coordinator.EventFilter{}, 100_000)
	if err != nil || len(all) > 20_001 || all[0].Kind != "token-created" {
		t.Errorf("%d events, the first is %+v, %v", len(all), all[0], err)
	}
}

func TestWhatWasOnlyCountedIsWrittenDownThoughNobodyComesAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := context.Background()
	for range 5 {
		if err := s.core.Denied(ctx, coordinator.Actor{Name: "host h-1", From: "10.0.0.1"}, "call-denied", "no"); err != nil {
			t.Fatal(err)
		}
	}
	s.wantEvent("call-denied", "no")
	s.clock.advance(10 * time.Minute)
	if err := s.core.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	if e := s.events("call-denied"); len(e) != 2 || !strings.HasPrefix(e[1].Message, "4 more of these") {
		t.Errorf("%+v", e)
	}
}

func TestEventsAreChosen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := context.Background()
	h := s.join("agent", 1)
	s.clock.advance(time.Hour)
	alice := coordinator.Actor{Name: "operator alice (admin)", From: "10.9.9.9"}
	if err := s.core.Remove(ctx, alice, string(h.Host)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter coordinator.EventFilter
		want   string
	}{
		"all":                {coordinator.EventFilter{}, "token-created enrolled removed"},
		"of a kind":          {coordinator.EventFilter{Kind: "enrolled"}, "enrolled"},
		"of a kind in part":  {coordinator.EventFilter{Kind: "enrol"}, ""},
		"of a host":          {coordinator.EventFilter{Host: h.Host}, "enrolled removed"},
		"of a person":        {coordinator.EventFilter{Actor: "alice"}, "removed"},
		"since":              {coordinator.EventFilter{Since: s.clock.Now()}, "removed"},
		"since a moment ago": {coordinator.EventFilter{Since: s.clock.Now().Add(time.Second)}, ""},
		"all that is said":   {coordinator.EventFilter{Kind: "removed", Host: h.Host, Actor: "alice", Since: s.clock.Now()}, "removed"},
	} {
		got, err := s.core.Events(ctx, c.filter, 10)
		var kinds []string
		for _, e := range got {
			kinds = append(kinds, e.Kind)
			if e.Kind == "removed" && (e.Actor != alice.Name || e.From != alice.From) {
				t.Errorf("%s: by %q from %q", name, e.Actor, e.From)
			}
		}
		if err != nil || strings.Join(kinds, " ") != c.want {
			t.Errorf("%s: %v, %v; want %s", name, kinds, err, c.want)
		}
	}
}

func TestEachDecisionOfATokensLifeIsAnEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("agent", 2)
	id := token[4:16]
	a := numbered(1)
	a.token = token
	if _, err := s.apply(a); err != nil {
		t.Fatal(err)
	}
	s.wantEvent("enrolled", "joined by token "+id+" (use 1 of 2)")
	s.clock.advance(31 * time.Minute)
	late := numbered(2)
	late.token = token
	if _, err := s.apply(late); err == nil {
		t.Error("it is expired and works")
	}
	s.wantEvent("enrolment-denied", "expired: token "+id)
	if _, _, err := s.core.CreateSeed(context.Background(), operator, identity.TokenSpec{Role: "agent"}); err != nil {
		t.Fatal(err)
	}
	s.wantEvent("seed-created", "role agent")
}

func TestASecretThatAHostIsGivenIsOneEvent(t *testing.T) {
	t.Parallel()
	s := newSecretSite(t)
	s.set("given", canary+"-1")
	h := s.join("public-agent", 1)
	if p := h.asks().GetPreflight(); p == nil || len(s.events("secrets-sent")) != 0 {
		t.Errorf("before it has any: %v", s.events("secrets-sent"))
	}
	h.installs()
	h.asks()
	s.vaulted()
	h.asks()
	s.wantEvent("secrets-sent", "node-1 gets the secrets of role public-agent: given, own")
	s.set("given", canary+"-2")
	h.asks()
	if e := s.events("secrets-sent"); len(e) != 2 || e[1].Host != h.Host || strings.Contains(fmt.Sprint(e), canary) {
		t.Errorf("%+v", e)
	}
}

func TestAGenerationThatIsServedIsAnEventOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 2 {
		if err := s.core.Serving(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	s.wantEvent("generation-served", "config ")
	kept, err := store.OpenBolt(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := coordinator.GenerationRefused(context.Background(), kept, "nobody has signed it"); err != nil {
		t.Fatal(err)
	}
	found := ""
	if err := kept.View(context.Background(), func(r store.Reader) error {
		return r.Scan("notes/", "", func(_ string, v []byte) (bool, error) { found += string(v); return true, nil })
	}); err != nil || !strings.Contains(found, "nobody has signed it") {
		t.Errorf("%s, %v", found, err)
	}
}
