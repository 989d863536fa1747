package roles_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
	"muster/internal/store"
)

// crowd is a role of count masters, the first listed of which are listed, and more hosts than places. Host i of the
// listed ones has place i.
type crowd struct {
	spec       *roles.Spec
	candidates []roles.Candidate
	listed     int
	count      int
}

func newCrowd(t interface{ Fatal(...any) }, count, listed, size int) crowd {
	c := crowd{listed: listed, count: count}
	var list []roles.Listed
	for i := range size {
		host := roles.Candidate{
			ID: hosts.ID(fmt.Sprintf("id%d", i)), Name: fmt.Sprintf("h%d", i), Address: addr(fmt.Sprintf("10.0.%d.%d", i/250, i%250)), Token: "master",
		}
		c.candidates = append(c.candidates, host)
		if i < listed {
			list = append(list, roles.Listed{Name: host.Name, Role: "master"})
		}
	}
	var err error
	if c.spec, err = roles.NewSpec([]roles.Role{{Name: "master", Count: count}}, list); err != nil {
		t.Fatal(err)
	}
	return c
}

// join is what the coordinator does with a candidate: decide, then join with the place and the reservations.
func (c crowd) join(r roles.Roster, i int) (roles.Roster, int, error) {
	host := c.candidates[i]
	d, ok := c.spec.Decide(host)
	if !ok {
		return r, -1, errors.New("nothing decides")
	}
	m := roles.Member{Host: host.ID, Name: host.Name, Address: host.Address.String()}
	return r.Join(m, d.Place, c.spec.Reserved(d.Role))
}

// violation says what is wrong with a roster, or "".
func (c crowd) violation(r roles.Roster) string {
	if len(r) != c.count {
		return fmt.Sprintf("%d places, want %d", len(r), c.count)
	}
	at := make(map[hosts.ID]int)
	for place, m := range r {
		if m.Host == "" {
			continue
		}
		if other, twice := at[m.Host]; twice {
			return fmt.Sprintf("%s is at %d and %d", m.Host, other, place)
		}
		at[m.Host] = place
		if place < c.listed && m.Host != c.candidates[place].ID {
			return fmt.Sprintf("place %d is kept for %s, and %s has it", place, c.candidates[place].ID, m.Host)
		}
	}
	return ""
}

// TestWhateverHostsDo draws joins, repeated joins and leaves of many hosts and compares each step with a model: the
// set of members with their places.
func TestWhateverHostsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 7).Draw(t, "count")
		c := newCrowd(t, count, rapid.IntRange(0, count).Draw(t, "listed"), count+rapid.IntRange(0, 10).Draw(t, "more"))
		roster := roles.NewRoster(count)
		model := make(map[int]int) // candidate → place
		host := rapid.IntRange(0, len(c.candidates)-1)

		// strangers counts the members that nobody listed; they may have what is left of the places.
		strangers := func() int {
			n := 0
			for i := range model {
				if i >= c.listed {
					n++
				}
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				i := host.Draw(t, "host")
				next, index, err := c.join(roster, i)
				place, member := model[i]
				switch {
				case member:
					if err != nil || index != place || !slices.Equal(next, roster) {
						t.Fatalf("%d joined again: %v, index %d instead of %d", i, err, index, place)
					}
				case i >= c.listed && strangers() == c.count-c.listed:
					if !errors.Is(err, roles.ErrFull) || !slices.Equal(next, roster) {
						t.Fatalf("%d should be a spare: %v", i, err)
					}
				case err != nil:
					t.Fatalf("%d was refused with places free: %v", i, err)
				default:
					model[i] = index
				}
				roster = next
			},
			"leave": func(t *rapid.T) {
				i := host.Draw(t, "host")
				roster = roster.Leave(c.candidates[i].ID)
				delete(model, i)
			},
			"restart": func(t *rapid.T) {
				raw, err := json.Marshal(roster)
				if err != nil {
					t.Fatal(err)
				}
				roster = nil
				if err := json.Unmarshal(raw, &roster); err != nil {
					t.Fatal(err)
				}
				if roster, err = roster.Resize(c.count); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if v := c.violation(roster); v != "" {
					t.Fatal(v)
				}
				for i, m := range c.candidates {
					place, member := model[i]
					if !member {
						place = -1
					}
					if got := roster.Index(m.ID); got != place {
						t.Fatalf("host %d is at %d, the model has it at %d", i, got, place)
					}
				}
				if roster.Free() != c.count-len(model) || roster.Complete() != (len(model) == c.count) {
					t.Fatalf("%d free of %d with %d members", roster.Free(), c.count, len(model))
				}
			},
		})
	})
}

// TestAListThatChangesNeverLeavesAPlaceEmpty: whoever joined under an older list, once every listed host has come and
// enough others, no place is free and nobody is in two.
func TestAListThatChangesNeverLeavesAPlaceEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 7).Draw(t, "count")
		size := 2 * count
		hostsInOrder := rapid.Permutation(intsTo(size))
		roster := roles.NewRoster(count)
		var c crowd
		for generation := range rapid.IntRange(1, 4).Draw(t, "generations") {
			order := hostsInOrder.Draw(t, "list")
			c = newCrowd(t, count, 0, size)
			var list []roles.Listed
			for _, i := range order[:rapid.IntRange(0, count).Draw(t, "listed")] {
				list = append(list, roles.Listed{Name: c.candidates[i].Name, Role: "master"})
			}
			var err error
			if c.spec, err = roles.NewSpec([]roles.Role{{Name: "master", Count: count}}, list); err != nil {
				t.Fatal(err)
			}
			for _, i := range hostsInOrder.Draw(t, "come")[:rapid.IntRange(0, size).Draw(t, "number")] {
				roster, _, _ = c.join(roster, i)
			}
			if v := c.violation(roster); v != "" {
				t.Fatalf("generation %d: %s", generation, v)
			}
		}
		for i := range c.candidates {
			roster, _, _ = c.join(roster, i)
		}
		if !roster.Complete() {
			t.Fatalf("every host has come, and still: %v", roster)
		}
	})
}

func intsTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// TestConcurrentJoinsFillARoleExactly lets 100 goroutines join, join again and sometimes leave through the real store,
// in an order that nobody chose. A linearisation exists if, replayed in the order of the commits, every answer that a
// caller got is the one that the pure functions give.
func TestConcurrentJoinsFillARoleExactly(t *testing.T) {
	const count, listed, crowdSize, callers, calls = 5, 2, 40, 100, 6
	c := newCrowd(t, count, listed, crowdSize)
	kept, err := store.OpenBolt(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()

	// answer is what a call came to, with its place in the order of the commits.
	type answer struct {
		Order int
		Host  int
		Leave bool
		Index int
		Full  bool
	}
	type record struct {
		Roster  roles.Roster
		Commits int
	}
	ctx := context.Background()
	transact := func(host int, leave bool) (answer, error) {
		var a answer
		err := kept.Update(ctx, func(w store.Writer) error {
			r := record{Roster: roles.NewRoster(count)}
			raw, err := w.Get("roster")
			if err != nil {
				return err
			}
			if raw != nil {
				if err := json.Unmarshal(raw, &r); err != nil {
					return err
				}
			}
			a = answer{Order: r.Commits, Host: host, Leave: leave}
			if leave {
				r.Roster = r.Roster.Leave(c.candidates[host].ID)
			} else {
				r.Roster, a.Index, err = c.join(r.Roster, host)
				a.Full = errors.Is(err, roles.ErrFull)
				if err != nil && !a.Full {
					return err
				}
			}
			r.Commits++
			if raw, err = json.Marshal(r); err != nil {
				return err
			}
			return w.Put("roster", raw)
		})
		return a, err
	}

	answers := make(chan answer, callers*calls)
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	start := make(chan struct{})
	for range callers {
		wg.Go(func() {
			<-start
			for range calls {
				// Only hosts that nobody listed leave, so that at the end the role must be full again.
				host := rand.IntN(crowdSize)
				a, err := transact(host, host >= listed && rand.IntN(4) == 0)
				if err != nil {
					failed.Store(&err)
					return
				}
				answers <- a
			}
		})
	}
	close(start)
	wg.Wait()
	close(answers)
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	// Whoever is still outside tries once more: now nobody leaves.
	for i := range crowdSize {
		if _, err := transact(i, false); err != nil {
			t.Fatal(err)
		}
	}

	history := make([]answer, callers*calls)
	seen := make(map[int]bool)
	for a := range answers {
		if a.Order >= len(history) || seen[a.Order] {
			t.Fatalf("two calls are commit %d", a.Order)
		}
		seen[a.Order], history[a.Order] = true, a
	}
	replayed := roles.NewRoster(count)
	for _, a := range history {
		if a.Leave {
			replayed = replayed.Leave(c.candidates[a.Host].ID)
			continue
		}
		next, index, err := c.join(replayed, a.Host)
		if index != a.Index || errors.Is(err, roles.ErrFull) != a.Full {
			t.Fatalf("commit %d: host %d was told place %d (full: %v); in this order it is %d (%v)", a.Order, a.Host, a.Index, a.Full, index, err)
		}
		replayed = next
	}
	for i := range crowdSize {
		replayed, _, _ = c.join(replayed, i)
	}

	var final record
	if err := kept.View(ctx, func(r store.Reader) error {
		raw, err := r.Get("roster")
		return errors.Join(err, json.Unmarshal(raw, &final))
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(final.Roster, replayed) {
		t.Errorf("the store has %v, the replay %v", final.Roster, replayed)
	}
	if v := c.violation(final.Roster); v != "" || !final.Roster.Complete() {
		t.Errorf("%s; %d of %d places are free", v, final.Roster.Free(), count)
	}
}

// BenchmarkAssign50000 decides for 50,000 hosts, each of them listed, half of them wanting one of three masters' places.
// BenchmarkAssign5000 is the same with a tenth: the cost of a host must be the same in both.
func BenchmarkAssign50000(b *testing.B) { benchmarkAssign(b, 50_000) }

func BenchmarkAssign5000(b *testing.B) { benchmarkAssign(b, 5_000) }

func benchmarkAssign(b *testing.B, size int) {
	list := []roles.Listed{listedAs("m0", "master"), listedAs("m1", "master")}
	candidates := make([]roles.Candidate, size)
	for i := range candidates {
		address := addr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
		candidates[i] = roles.Candidate{ID: hosts.ID(fmt.Sprintf("id%d", i)), Name: fmt.Sprintf("h%d", i), Address: address}
		switch {
		case i%2 == 0:
			candidates[i].Operator = "master" // most come too late: a spare must not cost more than a member
		case i%100 == 1:
			candidates[i].Address = addr(fmt.Sprintf("11.%d.%d.%d", i>>16, i>>8&255, i&255))
			list = append(list, roles.Listed{Prefix: netip.PrefixFrom(candidates[i].Address, 30), Role: "edge"})
			continue
		}
		list = append(list, roles.Listed{Address: address, Role: "agent"})
	}
	spec := mustSpec(b, list...)
	b.ReportAllocs()
	for b.Loop() {
		roster := roles.NewRoster(3)
		for _, c := range candidates {
			d, ok := spec.Decide(c)
			if !ok {
				b.Fatalf("nothing decides for %+v", c)
			}
			if d.Role == manifest.Role("master") {
				roster, _, _ = roster.Join(roles.Member{Host: c.ID, Name: c.Name, Address: c.Name}, d.Place, spec.Reserved(d.Role))
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/host")
}
