package coordinator_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	operatorv1 "muster/proto/muster/operator/v1"
)

// fill joins hosts 0 to n-1 by one token.
func (s *site) fill(n int) {
	s.Helper()
	token := s.token("public-agent", n)
	crowd(n, func(i int) {
		a := numbered(i)
		a.token = token
		if _, err := s.apply(a); err != nil {
			s.Error(err)
		}
	})
}

// crowd calls f with 0 to n-1, many at once, so that they share disk writes.
func crowd(n int, f func(int)) {
	numbers := make(chan int)
	var all sync.WaitGroup
	for range 128 {
		all.Go(func() {
			for i := range numbers {
				f(i)
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
}

// list reads all pages.
func (s *site) list(size int) (rows []*operatorv1.Host, pages int) {
	s.Helper()
	for token := ""; ; {
		page := s.core.ListHosts(token, size)
		rows, pages = append(rows, page.Hosts...), pages+1
		if token = page.NextPageToken; token == "" {
			return rows, pages
		}
	}
}

func (s *site) push(p coordinator.Push) {
	s.Helper()
	if err := s.core.RecordPush(context.Background(), operator, p); err != nil {
		s.Error(err)
	}
}

func TestPagesShowEveryHostOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(2000)
	crowd(700, func(n int) {
		s.push(coordinator.Push{Target: fmt.Sprintf("target-%03d", n), Class: "refused", Message: "connection refused", Remedy: "start sshd"})
	})
	for size, want := range map[int]int{0: 6, 1: 2701, 7: 386, 500: 6, 1000: 3, 2700: 3, 1 << 30: 3} {
		rows, pages := s.list(size)
		if pages != want {
			t.Errorf("pages of %d: %d, want %d", size, pages, want)
		}
		ids := make(map[string]bool)
		for _, h := range rows {
			ids[h.Id] = true
		}
		if len(rows) != 2700 || len(ids) != 2700 {
			t.Errorf("pages of %d: %d rows, %d hosts and pushes", size, len(rows), len(ids))
		}
		if hosts := rows[700:]; !slices.IsSortedFunc(hosts, func(a, b *operatorv1.Host) int { return strings.Compare(a.Id, b.Id) }) {
			t.Errorf("pages of %d: not in the order of identities", size)
		}
	}
}

func TestPagesAreStableWhileHostsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(300)
	first := s.core.ListHosts("", 100)
	seen := make(map[string]bool)
	for _, h := range first.Hosts {
		seen[h.Id] = true
	}
	// The host that the next page begins after is removed, and others come.
	if err := s.core.Remove(context.Background(), operator, first.NextPageToken); err != nil {
		t.Fatal(err)
	}
	s.join("agent", 900)
	s.join("agent", 901)
	for token := first.NextPageToken; token != ""; {
		page := s.core.ListHosts(token, 100)
		for _, h := range page.Hosts {
			if seen[h.Id] {
				t.Errorf("%s is shown twice", h.Name)
			}
			seen[h.Id] = true
		}
		token = page.NextPageToken
	}
	if len(seen) < 300 {
		t.Errorf("%d hosts are shown", len(seen))
	}
}

// watcher keeps what a watch shows, as the CLI does.
type watcher struct {
	mu       sync.Mutex
	rows     map[string]*operatorv1.Host
	sent     map[string]int
	largest  int
	complete chan struct{}
}

func (s *site) watch() (w *watcher, stop func()) {
	w = &watcher{rows: make(map[string]*operatorv1.Host), sent: make(map[string]int), complete: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	first := true
	go func() {
		ended <- s.core.Watch(ctx, func(r *operatorv1.WatchHostsResponse) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.largest = max(w.largest, len(r.Hosts)+len(r.Removed))
			for _, h := range r.Hosts {
				w.rows[h.Id], w.sent[h.Id] = h, w.sent[h.Id]+1
			}
			for _, id := range r.Removed {
				delete(w.rows, id)
			}
			if r.Complete && first {
				first = false
				close(w.complete)
			}
			return nil
		})
	}()
	return w, func() {
		s.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.Error(err)
		}
	}
}

// until waits for the watch to show something.
func (w *watcher) until(t testing.TB, what string, holds func(rows map[string]*operatorv1.Host) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		ok := holds(w.rows)
		w.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the watch never showed %s", what)
		}
	}
}

func TestAWatchShowsEveryHostOnceAndThenWhatChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(1200)
	s.push(coordinator.Push{Target: "web-1", OK: true, Token: "of-web-1"})
	w, stop := s.watch()
	defer stop()
	<-w.complete
	w.mu.Lock()
	if len(w.rows) != 1201 || w.rows["web-1"].GetPush() != "pushed" {
		t.Errorf("%d rows, %v", len(w.rows), w.rows["web-1"])
	}
	for id, n := range w.sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	w.mu.Unlock()

	h := s.join("master", 2000)
	w.until(t, "a new host", func(rows map[string]*operatorv1.Host) bool { return rows[string(h.Host)].GetRole() == "master" })
	h.says(hosts.Preflight)
	w.until(t, "a new phase", func(rows map[string]*operatorv1.Host) bool {
		return rows[string(h.Host)].GetPhase() == h.observed(hosts.Preflight).Phase
	})
	s.push(coordinator.Push{Target: "web-2", Class: "refused", Message: "connection refused"})
	w.until(t, "a failed push", func(rows map[string]*operatorv1.Host) bool { return rows["web-2"].GetFailure() == "connection refused" })
	if err := s.core.Remove(context.Background(), operator, string(h.Host)); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a removal", func(rows map[string]*operatorv1.Host) bool { return rows[string(h.Host)] == nil })

	// The push's row goes when its host comes.
	a := numbered(2001)
	a.token = s.token("agent", 1, func(spec *identity.TokenSpec) { spec.Host = "web-2" })
	if _, err := s.apply(a); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the host in place of its push", func(rows map[string]*operatorv1.Host) bool { return rows["web-2"] == nil })
}

// However many change at once, a message stays below the 4 MiB that a gRPC client accepts.
func TestAWatchTellsOfManyChangesInSmallMessages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w, stop := s.watch()
	defer stop()
	<-w.complete
	s.fill(1500)
	w.until(t, "all hosts", func(rows map[string]*operatorv1.Host) bool { return len(rows) == 1500 })
	if w.largest > 500 {
		t.Errorf("%d rows in a message", w.largest)
	}
}

func TestAWatchEndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gone := errors.New("the terminal was closed")
	if err := s.core.Watch(context.Background(), func(*operatorv1.WatchHostsResponse) error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// A push is recorded after it ended, and its host may join meanwhile: whichever comes first, no row is left of it, and
// none comes back when the host is removed or the coordinator restarts.
func TestAPushLeavesNoRowWhenItsHostHasJoined(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]func(join func(), push func()){
		"recorded before": func(join, push func()) { push(); join() },
		"recorded after":  func(join, push func()) { join(); push() },
		"at once": func(join, push func()) {
			var both sync.WaitGroup
			both.Go(push)
			both.Go(join)
			both.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			var joined []*host
			for n := range 10 {
				a := numbered(n)
				a.token = s.token("agent", 1, func(spec *identity.TokenSpec) { spec.Host = a.address })
				record(func() {
					c, err := s.apply(a)
					if err != nil {
						t.Error(err)
					}
					joined = append(joined, &host{site: s, Credential: c})
				}, func() { s.push(coordinator.Push{Target: a.address, OK: true, Token: a.token[4:16]}) })
			}
			want := func(rows int) {
				t.Helper()
				for key := range s.state() {
					if strings.HasPrefix(key, "pushes/") {
						t.Errorf("%s is kept", key)
					}
				}
				if got, _ := s.list(0); len(got) != rows {
					t.Errorf("%d rows, want %d", len(got), rows)
				}
			}
			want(10)
			for _, h := range joined {
				if err := s.core.Remove(context.Background(), operator, string(h.Host)); err != nil {
					t.Fatal(err)
				}
			}
			want(0)
			s.restart()
			want(0)
		})
	}
}

func TestAHostIsFoundByIdentityAddressAndName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	s.push(coordinator.Push{Target: "web-1", Class: "refused", Message: "connection refused", Remedy: "start sshd"})
	for _, name := range []string{string(h.Host), "10.0.0.2", "node-1", "NODE-1"} {
		if got := s.describe(name); got.Id != string(h.Host) {
			t.Errorf("%s is %v", name, got)
		}
	}
	if got := s.describe("web-1"); got.Failure != "connection refused" || got.Remedy != "start sshd" {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"", "node", "10.0.0", strings.Repeat("x", 1<<16)} {
		_, err := s.core.Describe(name)
		wantFault(t, err, fault.NotFound, "there is no host")
		if len(err.Error()) > 400 {
			t.Errorf("%d bytes", len(err.Error()))
		}
	}
}

func TestTokensAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	first := s.token("agent", 2)
	s.clock.advance(time.Minute)
	second := s.token("master", 1, within("10.0.0.0/8"))
	records, err := s.core.Tokens(ctx)
	if err != nil || len(records) != 2 || string(records[0].ID) != second[4:16] {
		t.Fatalf("newest first: %v, %v", records, err)
	}
	for key, value := range s.state() {
		if strings.Contains(value, first[17:]) || strings.Contains(key, first[17:]) {
			t.Errorf("%s holds the secret", key)
		}
	}
	for _, e := range s.events("token-created") {
		if strings.Contains(e.Message, first[17:]) || strings.Contains(e.Message, second[17:]) {
			t.Errorf("the event holds the secret: %s", e.Message)
		}
	}
	a := numbered(1)
	a.token = first
	if _, err := s.apply(a); err != nil {
		t.Fatal(err)
	}
	if err := s.core.RevokeToken(ctx, operator, identity.TokenID(first[4:16])); err != nil {
		t.Fatal(err)
	}
	s.wantEvent("token-revoked", first[4:16])
	b := numbered(2)
	b.token = first
	_, err = s.apply(b)
	wantFault(t, err, fault.Denied, "the join token was refused")
	if s.describe("node-1").Phase == 0 {
		t.Error("the host that joined by it is gone")
	}
	wantFault(t, s.core.RevokeToken(ctx, operator, identity.TokenID(first[4:16])), fault.NotFound, "there is no token")
}

func TestASeedHasAllThatAHostNeeds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made, record, err := s.core.CreateSeed(context.Background(), operator, identity.TokenSpec{Role: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	if made.Cluster != cluster || made.CA != string(s.ca.RootPEM()) || !slices.Equal(made.Coordinators, []string{"127.0.0.1:8443"}) ||
		!slices.Equal(made.Sources, []string{"http://127.0.0.1:8080"}) {
		t.Errorf("%+v", made)
	}
	a := numbered(1)
	a.token = made.Token.Reveal()
	if c, err := s.apply(a); err != nil || s.describe(string(c.Host)).JoinedBy != string(record.ID) {
		t.Error(err)
	}
}

func TestASeedForATokenThatThereIs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSite(t)
	token, record, err := s.core.CreateToken(ctx, operator, identity.TokenSpec{Role: "agent", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // nothing is consumed
		made, id, err := s.core.SeedFor(ctx, token.Reveal())
		if err != nil || made.Token.Reveal() != token.Reveal() || id != record.ID || !made.Expires.Equal(record.Expires) || made.CA != string(s.ca.RootPEM()) {
			t.Errorf("%+v, %s, %v", made, id, err)
		}
	}
	if now, err := s.core.Tokens(ctx); err != nil || len(now) != 1 || now[0].Uses != 0 {
		t.Errorf("the tokens are %+v (error %v)", now, err)
	}
	good := token.Reveal()
	other, err := identity.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for words, text := range map[string]string{
		"this is not a join token": good[:40],
		"unknown token":            other.Reveal(),
		"wrong secret":             good[:17] + other.Reveal()[17:],
	} {
		_, _, err := s.core.SeedFor(ctx, text)
		wantFault(t, err, fault.Invalid, words)
		if strings.Contains(err.Error(), text) {
			t.Errorf("the token is in %q", err)
		}
	}
	s.clock.advance(25 * time.Hour)
	_, _, err = s.core.SeedFor(ctx, good)
	wantFault(t, err, fault.Invalid, "expired")
}

func TestTheClusterIsCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("master", 0).says(hosts.Preflight)
	s.join("master", 1)
	s.join("", 2)
	h := s.join("public-agent", 3)
	h.says(hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Done)
	if err := s.core.Remove(context.Background(), operator, string(s.join("agent", 4).Host)); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"while it runs", "after a restart"} {
		got, err := s.core.ClusterState(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got.Hosts != 4 || fmt.Sprint(got.Phases) != "map[assigned:1 done:1 enrolled:1 preflight:1]" {
			t.Errorf("%s: %d hosts, %v", when, got.Hosts, got.Phases)
		}
		if r := got.Roles[2]; r.Role != "public-agent" || r.Hosts != 1 || r.Done != 1 {
			t.Errorf("%s: %v", when, r)
		}
		s.restart()
	}
}

func TestEventsAreTheNewestAndPruned(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 30 {
		s.clock.advance(time.Second)
		if err := s.core.Turned(context.Background(), numberedAddress(n), fmt.Sprint("number ", n)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.core.Events(context.Background(), coordinator.EventFilter{}, 7)
	if err != nil || len(got) != 7 || got[0].Message != "number 23" || got[6].Message != "number 29" {
		t.Errorf("%v, %v", got, err)
	}
	if err := s.core.Prune(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.events("enrolment-denied")); n != 30 {
		t.Errorf("%d of 30 are left", n)
	}
}

func TestTokensThatEndedLongAgoArePruned(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.join("agent", 1)
	s.token("agent", 1)
	kept := func(want int) {
		t.Helper()
		if err := s.core.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if tokens, err := s.core.Tokens(t.Context()); err != nil || len(tokens) != want {
			t.Errorf("%d tokens, %v, want %d", len(tokens), err, want)
		}
	}
	kept(2)
	s.clock.advance(identity.DefaultTokenTTL + 24*time.Hour)
	young := s.token("agent", 1)
	kept(3)
	s.clock.advance(time.Second)
	kept(1)
	host, err := s.core.Describe(string(h.Host))
	if err != nil || host.JoinedBy == "" {
		t.Errorf("the host has forgotten what it joined by: %v, %v", host, err)
	}
	a := numbered(7)
	a.token = young
	if _, err := s.apply(a); err != nil {
		t.Error(err)
	}
}

func TestAPushToAHostThatHasJoinedIsARowOfTheHostsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join("agent", 1)
	before := s.state()
	s.push(coordinator.Push{Target: "10.0.0.2", OK: true})
	s.push(coordinator.Push{Target: "10.0.0.2", Class: "refused", Message: "connection refused"})
	s.wantState(before)
	if rows, _ := s.list(0); len(rows) != 1 || rows[0].Push != "" {
		t.Errorf("%v", rows)
	}
	s.wantEvent("push-failed", "10.0.0.2: connection refused")
}
