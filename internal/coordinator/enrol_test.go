package coordinator_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/proof"
)

func TestAHostJoinsWithATokenAndGetsItsRole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("master", 1)
	leaf := h.leaf()
	if id, err := proof.HostFromCertificate(leaf, cluster); err != nil || id != h.Host {
		t.Errorf("the certificate is of %s (%v), the answer of %s", id, err, h.Host)
	}
	if ends := start.Add(identity.HostTTL); !h.Expires.Equal(ends) || !leaf.NotAfter.Equal(ends) {
		t.Errorf("it expires at %v and %v, want %v", h.Expires, leaf.NotAfter, ends)
	}
	if got := s.describe("node-1"); got.Role != "master" || got.Id != string(h.Host) || got.Address != "10.0.0.2" {
		t.Errorf("%v", got)
	}
	s.wantEvent("enrolled", "node-1 joined by token ")
}

func TestOfAHundredHostsWithOneUseExactlyOneJoins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("agent", 1)
	var joined sync.Map
	var all sync.WaitGroup
	for n := range 100 {
		a := numbered(n)
		a.token, a.key = token, newKey(t)
		all.Go(func() {
			if c, err := s.apply(a); err == nil {
				joined.Store(c.Host, true)
			} else {
				wantFault(t, err, fault.Denied, "the join token was refused")
			}
		})
	}
	all.Wait()
	count := 0
	joined.Range(func(any, any) bool { count++; return true })
	if hosts := s.core.ListHosts("", 0).Hosts; count != 1 || len(hosts) != 1 || s.uses(token) != 1 || len(s.events("enrolled")) != 1 {
		t.Errorf("%d joined, %d are listed, %d uses", count, len(hosts), s.uses(token))
	}
}

func TestTheSameKeyIsTheSameHost(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(s *site, token string){
		"when the answer was lost":      func(*site, string) {},
		"when the token has expired":    func(s *site, _ string) { s.clock.advance(identity.MaxTokenTTL) },
		"when the coordinator restarts": func(s *site, _ string) { s.restart() },
		"when the token was revoked": func(s *site, token string) {
			if err := s.core.RevokeToken(context.Background(), operator, identity.TokenID(token[4:16])); err != nil {
				s.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a := numbered(1)
			a.key, a.token = newKey(t), s.token("master", 1)
			first, err := s.apply(a)
			if err != nil {
				t.Fatal(err)
			}
			between(s, a.token)
			for range 3 {
				again, err := s.apply(a)
				if err != nil || again.Host != first.Host {
					t.Fatalf("got %s (%v), want %s", again.Host, err, first.Host)
				}
				// The newest certificate works, whichever of the answers arrived.
				if who, err := s.core.Host(context.Background(), shows(parse(t, again))); err != nil || who.Host != first.Host {
					t.Errorf("its certificate: %s, %v", who.Host, err)
				}
			}
			if name != "when the token was revoked" && s.uses(a.token) != 1 {
				t.Errorf("%d uses", s.uses(a.token))
			}
			if len(s.events("enrolled")) != 1 {
				t.Error("it joined more than once")
			}
		})
	}
}

func TestConcurrentRetriesWithOneKeyAreOneHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := numbered(1)
	a.key, a.token = newKey(t), s.token("master", 1)
	ids := make(chan hosts.ID, 20)
	for range cap(ids) {
		go func() {
			c, err := s.apply(a)
			if err != nil {
				t.Error(err)
			}
			ids <- c.Host
		}()
	}
	first := soon(t, ids)
	for range cap(ids) - 1 {
		if id := soon(t, ids); id != first {
			t.Errorf("%s and %s", first, id)
		}
	}
}

func TestWhatIsWrongWithATokenIsToldAlikeToAll(t *testing.T) {
	t.Parallel()
	other := newSite(t)
	for name, c := range map[string]struct {
		applicant func(s *site) applicant
		reason    string
	}{
		"expired": {func(s *site) applicant {
			token := s.token("agent", 1)
			s.clock.advance(identity.DefaultTokenTTL)
			return applicant{token: token}
		}, "expired"},
		"unknown": {func(*site) applicant { return applicant{token: other.token("agent", 1)} }, "unknown token"},
		"wrong secret": {func(s *site) applicant {
			return applicant{token: s.token("agent", 1)[:17] + strings.Repeat("A", 43)}
		}, "wrong secret"},
		"used up": {func(s *site) applicant {
			token := s.token("agent", 1)
			a := numbered(7)
			a.token = token
			if _, err := s.apply(a); err != nil {
				s.Fatal(err)
			}
			return applicant{token: token}
		}, "no uses left"},
		"from outside of its networks": {func(s *site) applicant {
			return applicant{token: s.token("agent", 1, within("10.0.0.0/8")), from: "192.0.2.1"}
		}, "address outside"},
		"not a token": {func(*site) applicant { return applicant{token: "\x1b[2Jmt1.x.y"} }, "not a join token"},
		"empty":       {func(*site) applicant { return applicant{} }, "not a join token"},
		"of a removed host, with its key": {func(s *site) applicant {
			h := s.join("agent", 9)
			if err := s.core.Remove(context.Background(), operator, string(h.Host)); err != nil {
				s.Fatal(err)
			}
			return applicant{key: h.key, token: s.token("agent", 1)}
		}, "the host was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a := c.applicant(s)
			a.name, a.address = "node-1", "10.0.0.1"
			before := s.state()
			for range 20 {
				_, err := s.apply(a)
				wantFault(t, err, fault.Denied, "the join token was refused")
				if err.Error() != "the join token was refused" {
					t.Errorf("it is told more: %v", err)
				}
			}
			s.wantState(before)
			s.wantEvent("enrolment-denied", "node-1: "+c.reason)
		})
	}
}

func TestATokenWorksAfterAThousandWrongSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("agent", 1)
	wrong := numbered(1)
	wrong.key, wrong.token = newKey(t), token[:17]+strings.Repeat("A", 43)
	for range 1000 {
		if _, err := s.apply(wrong); err == nil {
			t.Fatal("it joined")
		}
	}
	right := numbered(1)
	right.token = token
	if _, err := s.apply(right); err != nil || s.uses(token) != 1 {
		t.Errorf("%v, %d uses", err, s.uses(token))
	}
	s.wantEvent("enrolment-denied", "wrong secret")
}

func TestATokenWorksFromInsideItsNetworks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token("agent", 2, within("10.0.0.0/8"), within("2001:db8::/32"))
	for n, from := range []string{"10.1.2.3", "2001:db8::7"} {
		a := numbered(n)
		a.token, a.from = token, from
		if _, err := s.apply(a); err != nil {
			t.Errorf("%s: %v", from, err)
		}
	}
}

// A token must not be used up, nor a name shown, by a host whose name or address cannot be right.
func TestNamesAndAddressesThatCannotBeRightAreRefused(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]applicant{
		"loopback":                     {address: "127.0.0.1"},
		"loopback of IPv6":             {address: "::1"},
		"loopback mapped into IPv6":    {address: "::ffff:127.0.0.1"},
		"multicast":                    {address: "224.0.0.1"},
		"multicast of IPv6":            {address: "ff02::1"},
		"multicast mapped into IPv6":   {address: "::ffff:224.0.0.1"},
		"unspecified":                  {address: "0.0.0.0"},
		"unspecified of IPv6":          {address: "::"},
		"unspecified mapped":           {address: "::ffff:0.0.0.0"},
		"broadcast":                    {address: "255.255.255.255"},
		"a zone":                       {address: "fe80::1%eth0"},
		"link-local":                   {address: "fe80::1"},
		"a port":                       {address: "10.0.0.1:80"},
		"a name for an address":        {address: "node-1"},
		"no address":                   {address: " "},
		"a name of 300 characters":     {name: strings.Repeat("abcdefghi.", 30)},
		"a label of 64 characters":     {name: strings.Repeat("a", 64)},
		"escape sequences":             {name: "node\x1b[2J"},
		"a line end":                   {name: "node\nroot logged in"},
		"markup":                       {name: "<script>"},
		"an empty label":               {name: "node..example"},
		"localhost":                    {name: "LocalHost"},
		"an underscore":                {name: "node_1"},
		"another host's address":       {name: "10.0.0.7"},
		"something like an identity":   {name: "h-aaaaaaaaaaaaa"},
		"a zone with a space":          {zone: "a b"},
		"a zone of escape sequences":   {zone: "\x1b[2J"},
		"a zone of 300 characters":     {zone: strings.Repeat("z", 300)},
		"a megabyte of name":           {name: strings.Repeat("a", 1<<20)},
		"a megabyte of escape":         {name: strings.Repeat("\x1b", 1<<20)},
		"a megabyte of address":        {address: strings.Repeat("1", 1<<20)},
		"a name of invisible letters":  {name: "node\u200b"},
		"a hyphen at the end of label": {name: "node-.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a.token = s.token("agent", 1)
			if a.name == "" {
				a.name = "node-1"
			}
			if a.address == "" {
				a.address = "10.0.0.1"
			}
			before := s.state()
			_, err := s.apply(a)
			wantFault(t, err, fault.Invalid, "the host says that its")
			if err != nil && (len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\n")) {
				t.Errorf("what the host said came through: %.600q", err.Error())
			}
			s.wantState(before)
			s.wantEvent("enrolment-denied", "the host says that its")
			if e := s.events("enrolment-denied"); len(e) == 1 && strings.ContainsAny(e[0].Message, "\x1b\n") {
				t.Errorf("%q", e[0].Message)
			}
		})
	}
}

func TestNamesAreKeptInLowerCaseAndAddressesInOneSpelling(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if _, err := s.apply(applicant{token: s.token("agent", 1), name: "Node-1.Example.COM", address: "::ffff:10.0.0.1", zone: "Zone_a.1"}); err != nil {
		t.Fatal(err)
	}
	if h := s.describe("10.0.0.1"); h.Name != "node-1.example.com" || h.Facts.Zone != "Zone_a.1" {
		t.Errorf("%v", h)
	}
	// The other spelling of the same address does not make room for a second host.
	_, err := s.apply(applicant{token: s.token("agent", 1), name: "node-2", address: "10.0.0.1"})
	wantFault(t, err, fault.Conflict, "already enrolled")
}

func TestAnAddressIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.join("agent", 1)
	a := numbered(1)
	a.name, a.token = "node-2", s.token("agent", 1)
	before := s.state()
	_, err := s.apply(a)
	wantFault(t, err, fault.Conflict, "a host with the address 10.0.0.2 is already enrolled as "+string(first.Host))
	if want := "coordinator hosts remove " + string(first.Host); !strings.Contains(fault.Remedy(err), want) {
		t.Errorf("the remedy is %q, want %q", fault.Remedy(err), want)
	}
	s.wantState(before)
	s.wantEvent("enrolment-denied", "node-2: a host with the address 10.0.0.2")

	// The remedy works, with the same token.
	if err := s.core.Remove(context.Background(), operator, string(first.Host)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.apply(a); err != nil {
		t.Error(err)
	}
}

// Nobody without a token learns which addresses are taken.
func TestWhetherAnAddressIsTakenIsToldOnlyWithAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("agent", 1)
	a := numbered(1)
	a.token = newSite(t).token("agent", 1)
	_, err := s.apply(a)
	wantFault(t, err, fault.Denied, "the join token was refused")
}

func TestWhoHangsUpAtOnceIsRecordedAllTheSame(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	if err := s.core.Turned(ctx, numberedAddress(0), "a replayed proof"); err != nil {
		t.Fatal(err)
	}
	s.wantEvent("enrolment-denied", "a replayed proof")
}

func TestAStrangerCannotFillTheEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	crowd(1500, func(n int) {
		if err := s.core.Turned(context.Background(), numberedAddress(n), "a replayed proof"); err != nil {
			t.Error(err)
		}
	})
	if n := len(s.events("enrolment-denied")); n != 1000 {
		t.Errorf("%d events, want 1000", n)
	}
	s.clock.advance(10 * time.Minute)
	if err := s.core.Turned(context.Background(), numberedAddress(0), "a replayed proof"); err != nil {
		t.Fatal(err)
	}
	events := s.events("enrolment-denied")
	if len(events) != 1002 || !strings.HasPrefix(events[1000].Message, "500 more of these in the 10 minutes from ") || events[1001].Message != "a replayed proof" {
		t.Errorf("later it is told again, after how many were only counted: %d events, %+v", len(events), events[min(1000, len(events)):])
	}
}

func TestAHostThatIsPushedToAgainTakesTheNewerToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("master", 1)
	s.push(coordinator.Push{Target: "web-1", Class: "refused", Message: "connection refused"})
	a := numbered(1)
	a.key, a.token = h.key, s.token("agent", 1, func(spec *identity.TokenSpec) { spec.Host = "web-1" })
	for range 2 { // the second time, because the answer was lost
		if c, err := s.apply(a); err != nil || c.Host != h.Host {
			t.Fatal(c.Host, err)
		}
	}
	if got := s.describe("node-1"); got.JoinedBy != a.token[4:16] || got.Role != "master" || s.uses(a.token) != 1 {
		t.Errorf("%v, %d uses", got, s.uses(a.token))
	}
	if rows, _ := s.list(0); len(rows) != 1 {
		t.Errorf("%v", rows)
	}
	// One that is not good changes nothing, and keeps nobody out who has the key.
	before := s.describe("node-1").JoinedBy
	a.token = newSite(t).token("agent", 1)
	if c, err := s.apply(a); err != nil || c.Host != h.Host || s.describe("node-1").JoinedBy != before {
		t.Error(c.Host, err)
	}
}

// Whoever comes last, the directory shows what is on disk.
func TestAHostThatComesAgainWhileItIsRemovedLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 20 {
		h := s.join("master", n)
		a := numbered(n)
		a.key, a.token = h.key, s.token("agent", 1)
		var both sync.WaitGroup
		both.Go(func() { _, _ = s.apply(a) })
		both.Go(func() {
			if err := s.core.Remove(context.Background(), operator, string(h.Host)); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
	}
	if rows, _ := s.list(0); len(rows) != 0 {
		t.Errorf("%d hosts are still listed", len(rows))
	}
	if got := strings.Join(s.members(), ""); got != "" {
		t.Errorf("in the roster: %s", got)
	}
}
