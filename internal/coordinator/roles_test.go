package coordinator_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

func wantWait(t testing.TB, d *syncv1.Directive, reason string) {
	t.Helper()
	w := d.GetWait()
	if w == nil || !strings.Contains(w.Reason, reason) || w.ComeBack.AsDuration() <= 0 {
		t.Errorf("got %v, want a wait with %q and a time to come back", d, reason)
	}
}

func TestOfTwentyMastersAtOnceThreeAreInTheRosterAndTheOthersAreSpare(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	joined := make([]*host, 20)
	var all sync.WaitGroup
	for n := range joined {
		all.Go(func() { joined[n] = s.join("master", n) })
	}
	all.Wait()
	places := make(map[int32]bool)
	for _, h := range joined {
		switch got := s.describe(string(h.Host)); got.Role {
		case "master":
			if places[got.Index] || s.members()[got.Index] != got.Name {
				t.Errorf("place %d of %s is another's: %v", got.Index, got.Name, s.members())
			}
			places[got.Index] = true
			if h.asks().GetPreflight() == nil {
				t.Error("a master has nothing to do")
			}
		case "":
			wantWait(t, h.asks(), "spare: role master has all its members")
		default:
			t.Errorf("%s became %s", got.Name, got.Role)
		}
	}
	if len(places) != 3 || slices.Contains(s.members(), "") {
		t.Errorf("%d masters, roster %v", len(places), s.members())
	}
}

func TestASpareTakesThePlaceOfARemovedMember(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var masters []*host
	for n := range 4 {
		masters = append(masters, s.join("master", n))
	}
	spare := masters[3]
	answer := spare.waits(spare.asks().Id, time.Minute)
	if err := s.core.Remove(context.Background(), operator, "node-1"); err != nil {
		t.Fatal(err)
	}
	if got := soon(t, answer); got.Directive.GetPreflight().GetRole() != "master" {
		t.Errorf("it is told %v", got.Directive)
	}
	if got := s.members(); !slices.Equal(got, []string{"node-0", "node-3", "node-2"}) {
		t.Errorf("%v", got)
	}
	s.wantEvent("assigned", "node-3 as master")
}

func TestAgentsWaitForTheRosterAndAreReleasedByTheLastMaster(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := s.join("agent", 50)
	if d := agent.asks(); d.GetPreflight() == nil || len(d.GetPreflight().Late) != 1 || d.GetPreflight().Late["Host.Name"] != "node-50" {
		t.Errorf("preflight has the host's own values: %v", d)
	}
	s.join("master", 0)
	wantWait(t, agent.says(hosts.Preflight, hosts.Ready), "waiting for 2 more of 3 hosts of role master")
	s.join("master", 1)
	d := agent.asks()
	wantWait(t, d, "waiting for 1 more of 3 hosts of role master")

	answer := agent.waits(d.Id, time.Minute)
	began := time.Now()
	s.join("master", 2)
	resp := soon(t, answer)
	if took := time.Since(began); took > time.Second {
		t.Errorf("released after %v", took)
	}
	plan := resp.Directive.GetInstall()
	want := map[string]string{
		"Host.Name":                "node-50",
		"Roster.master[0].Address": "10.0.0.1", "Roster.master[1].Address": "10.0.0.2", "Roster.master[2].Address": "10.0.0.3",
	}
	if plan == nil || len(plan.Late) != len(want) {
		t.Fatalf("got %v", resp.Directive)
	}
	for ref, value := range want {
		if plan.Late[ref] != value {
			t.Errorf("%s is %q, want %q", ref, plan.Late[ref], value)
		}
	}
	if plan.Role != "agent" || plan.ManifestDigest != strings.Repeat("d", 64) || plan.ManifestSize != 1 || len(plan.Sources) != 1 {
		t.Errorf("%v", plan)
	}
}

func TestAPlanWaitsForALateValueThatNobodySays(t *testing.T) {
	t.Parallel()
	zones := func(s *site) { s.manifests["agent"].Late = slots("Roster.master[1].Zone", "Host.Zone") }
	s := newSite(t, zones)
	agent := s.join("agent", 50)
	for n := range 3 {
		s.join("master", n)
	}
	d := agent.says(hosts.Preflight, hosts.Ready)
	wantWait(t, d, "Roster.master[1].Zone, which the host does not say")
	wantWait(t, d, "Host.Zone, which the host does not say")
}

// What the host has begun it has a whole plan for; without the member that is gone no other could be bound.
func TestAMemberThatLeavesDoesNotDisturbAnInstallation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := s.join("agent", 50)
	for n := range 3 {
		s.join("master", n)
	}
	first := agent.says(hosts.Preflight, hosts.Ready)
	if first.GetInstall() == nil {
		t.Fatal(first)
	}
	agent.says(hosts.Fetching, hosts.Installing)
	if err := s.core.Remove(context.Background(), operator, "node-1"); err != nil {
		t.Fatal(err)
	}
	wantWait(t, agent.says(hosts.Starting), "goes on with its plan; waiting for 1 more of 3 hosts of role master")
	s.join("master", 7)
	next := agent.asks().GetInstall()
	if next == nil || next.Id == first.GetInstall().Id || next.Late["Roster.master[1].Address"] != "10.0.0.8" {
		t.Errorf("after the replacement: %v", next)
	}
}

func TestARoleComesAfterAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.generation.Roles[2].After = []manifest.Role{"master", "agent"} })
	late := s.join("public-agent", 60)
	wantWait(t, late.says(hosts.Preflight, hosts.Ready), "3 more of 3 hosts of role master to be done, 1 more of 1 hosts of role agent to be done")
	var before []*host
	for n := range 3 {
		before = append(before, s.join("master", n))
	}
	before = append(before, s.join("agent", 50))
	for _, h := range before[1:] {
		h.says(hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight, hosts.Done)
	}
	d := late.asks()
	wantWait(t, d, "waiting for 1 more of 3 hosts of role master to be done")
	answer := late.waits(d.Id, time.Minute)
	before[0].says(hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Done)
	if got := soon(t, answer); got.Directive.GetInstall() == nil {
		t.Errorf("it is told %v", got.Directive)
	}
}

func TestAnOperatorAssigns(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	h := s.join("", 1)
	d := h.asks()
	wantWait(t, d, "an operator can assign it")
	answer := h.waits(d.Id, time.Minute)

	before := s.state()
	_, err := s.core.Assign(ctx, operator, "node-1", "mister")
	wantFault(t, err, fault.Invalid, `there is no role "mister"`)
	if !strings.Contains(fault.Remedy(err), "master agent public-agent") {
		t.Errorf("the remedy is %q", fault.Remedy(err))
	}
	_, err = s.core.Assign(ctx, operator, "node-9", "master")
	wantFault(t, err, fault.NotFound, "node-9")
	s.wantState(before)

	if _, err := s.core.Assign(ctx, operator, "node-1", "master"); err != nil {
		t.Fatal(err)
	}
	if got := soon(t, answer); got.Directive.GetPreflight().GetRole() != "master" {
		t.Errorf("it is told %v", got.Directive)
	}
	s.wantEvent("assigned", "node-1 as master")
	if e := s.events("assigned"); e[0].Actor != operator.Name {
		t.Errorf("by %q", e[0].Actor)
	}
	_, err = s.core.Assign(ctx, operator, "node-1", "agent")
	wantFault(t, err, fault.Conflict, "already has the role master")
}

func TestAnOperatorCannotFillARoleBeyondItsCount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 3 {
		s.join("master", n)
	}
	s.join("", 4)
	before := s.state()
	_, err := s.core.Assign(context.Background(), operator, "node-4", "master")
	wantFault(t, err, fault.Conflict, "role master")
	s.wantState(before)
}

// A host chooses its name. What an operator types must never mean a host that calls itself so.
func TestAHostIsNotTakenForAnotherByItsName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	honest, rogue := s.join("", 1), numbered(2)
	rogue.name, rogue.token = "node-1", s.token("", 1)
	c, err := s.apply(rogue)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.core.Assign(context.Background(), operator, "node-1", "master")
	wantFault(t, err, fault.Conflict, "2 hosts are called node-1")
	for _, id := range []hosts.ID{honest.Host, c.Host} {
		if !strings.Contains(fault.Remedy(err), string(id)) {
			t.Errorf("the remedy %q does not name %s", fault.Remedy(err), id)
		}
	}
	if id, err := s.core.Assign(context.Background(), operator, "10.0.0.2", "master"); err != nil || id != honest.Host {
		t.Errorf("by address: %s, %v", id, err)
	}
	if err := s.core.Remove(context.Background(), operator, string(c.Host)); err != nil {
		t.Fatal(err)
	}
	if id, err := s.core.Find("NODE-1"); err != nil || id != honest.Host {
		t.Errorf("by a name that is its alone again: %s, %v", id, err)
	}
}

func TestTheListGivesACountedRoleOnlyWithAToken(t *testing.T) {
	t.Parallel()
	listed := func(s *site) {
		s.generation.Hosts = []manifest.Listed{{Address: "10.0.0.2", Role: "master"}, {CIDR: "10.0.1.0/24", Role: "agent"}}
	}
	for name, c := range map[string]struct {
		n     int
		token manifest.Role
		want  string
	}{
		"an address that anybody can claim is not enough":    {1, "", ""},
		"a token of another role wins over the list":         {1, "agent", "agent"},
		"with a token of the role the place is the listed":   {1, "master", "master"},
		"an open role is given by the list alone":            {250, "", "agent"},
		"who is neither listed nor has such a token waits":   {3, "", ""},
		"a token of another role wins over a network":        {251, "public-agent", "public-agent"},
		"a token binds also a host that nobody has listed":   {4, "public-agent", "public-agent"},
		"a token for masters leaves listed places to others": {4, "master", "master"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, listed)
			h := s.join(c.token, c.n)
			got := s.describe(string(h.Host))
			if got.Role != c.want {
				t.Errorf("it became %q, want %q", got.Role, c.want)
			}
			if want := int32(min(c.n-1, 1)); c.want == "master" && got.Index != want {
				t.Errorf("at place %d, want %d", got.Index, want)
			}
		})
	}
}

func TestATokenOfManyUsesIsNotForACountedRole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	before := s.state()
	_, _, err := s.core.CreateToken(ctx, operator, identity.TokenSpec{Role: "master", MaxUses: 2})
	wantFault(t, err, fault.Invalid, "a token of 2 uses would let whoever finds it become master")
	if !strings.Contains(fault.Remedy(err), "roles.master.allow_shared_tokens: true") {
		t.Errorf("the remedy is %q", fault.Remedy(err))
	}
	_, _, err = s.core.CreateToken(ctx, operator, identity.TokenSpec{Role: "mister"})
	wantFault(t, err, fault.Invalid, "mister")
	_, _, err = s.core.CreateToken(ctx, operator, identity.TokenSpec{TTL: 25 * time.Hour})
	wantFault(t, err, fault.Invalid, "lifetime")
	_, _, err = s.core.CreateToken(ctx, operator, identity.TokenSpec{MaxUses: -1})
	wantFault(t, err, fault.Invalid, "uses")
	s.wantState(before)

	shared := newSite(t, func(s *site) { s.generation.Roles[0].AllowSharedTokens = true })
	shared.token("master", 3)
	shared.wantEvent("token-created", "for 3 uses")
}
