package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
	syncv1 "muster/proto/muster/sync/v1"
)

// directory is what status shows, kept in memory beside the store: every host's record, when it was last heard and what
// it does this moment. No rule but the order of roles depends on it, and a restart rebuilds it.
type directory struct {
	// began is when this process did; set before anything is in it.
	began    time.Time
	mu       sync.RWMutex
	entries  map[hosts.ID]*entry
	order    []hosts.ID // ascending when sorted is set, so that pages are stable
	sorted   bool
	byName   map[string][]hosts.ID // a name is the host's own word, and two may say the same
	byAddr   map[string]hosts.ID
	leaving  map[string]hosts.ID // by address, those that are to uninstall
	joined   map[string]bool     // tokens that a host joined by, since removed or not
	pushes   map[string]Push
	counts   map[manifest.Role]map[hosts.Phase]int
	watchers map[*watcher]struct{}
	// ready are the hosts of each role in that phase, follow those that were done and are not now, waiting those that wait for
	// their turn to follow.
	ready, follow, waiting map[manifest.Role]map[hosts.ID]struct{}
}

type entry struct {
	host hosts.Host
	seen time.Time
	// steady is since when it has been heard of without a gap.
	steady   time.Time
	observed *syncv1.Observed
}

// watcher collects what changed until its reader takes it. However slow the reader is, a host is in it once.
type watcher struct {
	changed map[hosts.ID]bool // false: gone
	pushes  bool
	wake    chan struct{}
}

func newDirectory() *directory {
	return &directory{
		entries:  make(map[hosts.ID]*entry),
		byName:   make(map[string][]hosts.ID),
		byAddr:   make(map[string]hosts.ID),
		leaving:  make(map[string]hosts.ID),
		joined:   make(map[string]bool),
		pushes:   make(map[string]Push),
		counts:   make(map[manifest.Role]map[hosts.Phase]int),
		watchers: make(map[*watcher]struct{}),
		ready:    make(map[manifest.Role]map[hosts.ID]struct{}),
		follow:   make(map[manifest.Role]map[hosts.ID]struct{}),
		waiting:  make(map[manifest.Role]map[hosts.ID]struct{}),
	}
}

func (d *directory) put(h hosts.Host) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[h.ID]
	switch {
	case h.Phase == hosts.Removed, !d.address(h):
		d.drop(h.ID)
		return
	case ok:
		d.count(e.host, -1)
		d.forget(e.host)
	default:
		e = &entry{}
		d.entries[h.ID] = e
		// Sorted when somebody looks: inserting in order would move half the list for every host that joins.
		d.order, d.sorted = append(d.order, h.ID), false
		name := strings.ToLower(h.Facts.Name)
		d.byName[name] = append(d.byName[name], h.ID)
	}
	e.host = h
	d.count(h, 1)
	if h.Phase == hosts.Ready {
		add(d.ready, h.Role, h.ID)
	}
	if h.Installed() && h.Phase != hosts.Done {
		add(d.follow, h.Role, h.ID)
	}
	d.joined[h.JoinedBy] = true
	d.tell(h.ID, true)
}

// address notes whose address it is. A host that is to uninstall has given it up: when another machine has it, nobody sees
// the old one any more, and it is false for that one.
func (d *directory) address(h hosts.Host) bool {
	address := h.Facts.Address
	if h.Phase != hosts.Uninstalling {
		if old := d.leaving[address]; old != h.ID {
			d.drop(old)
		}
		delete(d.leaving, address)
		d.byAddr[address] = h.ID
		return true
	}
	owner := d.byAddr[address]
	if owner == h.ID {
		delete(d.byAddr, address)
		owner = ""
	}
	if owner == "" {
		d.leaving[address] = h.ID
	}
	return owner == ""
}

func (d *directory) drop(id hosts.ID) {
	e, ok := d.entries[id]
	if !ok {
		return
	}
	d.count(e.host, -1)
	d.forget(e.host)
	delete(d.entries, id)
	if i := slices.Index(d.order, id); i >= 0 {
		d.order = slices.Delete(d.order, i, i+1)
	}
	name := strings.ToLower(e.host.Facts.Name)
	if d.byName[name] = slices.DeleteFunc(d.byName[name], func(other hosts.ID) bool { return other == id }); len(d.byName[name]) == 0 {
		delete(d.byName, name)
	}
	if d.byAddr[e.host.Facts.Address] == id {
		delete(d.byAddr, e.host.Facts.Address)
	}
	if d.leaving[e.host.Facts.Address] == id {
		delete(d.leaving, e.host.Facts.Address)
	}
	d.tell(id, false)
}

// heard notes a sign of life and what the host does; neither is worth a disk write.
func (d *directory) heard(id hosts.ID, now time.Time, o *syncv1.Observed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[id]
	if !ok {
		return
	}
	news := o != nil && (e.observed == nil || e.observed.Step != o.Step || e.observed.Waiting != o.Waiting ||
		e.observed.DoneBytes != o.DoneBytes)
	if now.Sub(e.seen) > roles.Fresh {
		e.steady = now
	}
	e.seen = now
	if o != nil {
		e.observed = o
	}
	if news {
		d.tell(id, true)
	}
}

// size is how many hosts there are.
func (d *directory) size() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.entries)
}

func (d *directory) count(h hosts.Host, by int) {
	phases, ok := d.counts[h.Role]
	if !ok {
		phases = make(map[hosts.Phase]int)
		d.counts[h.Role] = phases
	}
	phases[h.Phase] += by
}

// notDone says in words what is missing until a role is done: all members of a counted one, all hosts that are there
// of an open one. It is "" when nothing is missing.
func (d *directory) notDone(role manifest.Role, count int) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	total := 0
	for _, n := range d.counts[role] {
		total += n
	}
	done := d.counts[role][hosts.Done]
	want := max(count, total, 1)
	if done >= want {
		return ""
	}
	return fmt.Sprintf("%d more of %d hosts of role %s to be done", want-done, want, role)
}

// get is one host by identity, address or name. The coordinator makes identities and lets an address be taken once; a
// name is whatever the host says, so it comes last and must not be ambiguous: else a rogue host would be taken for the
// one that the operator means.
func (d *directory) get(name string) (entry, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, id := range []hosts.ID{hosts.ID(name), d.byAddr[name]} {
		if e, ok := d.entries[id]; ok {
			return *e, nil
		}
	}
	switch named := d.byName[strings.ToLower(name)]; len(named) {
	case 0:
		return entry{}, errNoHost(clip(name, 253))
	case 1:
		return *d.entries[named[0]], nil
	default:
		return entry{}, fault.New(fault.Conflict, fmt.Sprintf("name one by its identity or address: %v", named[:min(len(named), 10)]),
			"%d hosts are called %s", len(named), name)
	}
}

// page is up to size entries after the given identity, in ascending order.
func (d *directory) page(after hosts.ID, size int) []entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sorted {
		slices.Sort(d.order)
		d.sorted = true
	}
	i, found := slices.BinarySearch(d.order, after)
	if found {
		i++
	}
	end := min(i+size, len(d.order))
	page := make([]entry, 0, max(0, end-i))
	for _, id := range d.order[i:end] {
		page = append(page, *d.entries[id])
	}
	return page
}

func (d *directory) tallies() map[manifest.Role]map[hosts.Phase]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make(map[manifest.Role]map[hosts.Phase]int, len(d.counts))
	for role, phases := range d.counts {
		all[role] = maps.Clone(phases)
	}
	return all
}

func (d *directory) putPush(p Push) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.joined[p.Token] {
		d.pushes[p.Target] = p
		d.tellPushes()
	}
}

func (d *directory) dropPush(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.pushes[target]; ok {
		delete(d.pushes, target)
		d.tellPushes()
	}
}

// listPushes are those whose host has not joined.
func (d *directory) listPushes() []Push {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := slices.Collect(maps.Values(d.pushes))
	slices.SortFunc(list, func(a, b Push) int { return strings.Compare(a.Target, b.Target) })
	return list
}

func (d *directory) joinedBy(token string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.joined[token]
}

func (d *directory) watch() *watcher {
	w := &watcher{changed: make(map[hosts.ID]bool), wake: make(chan struct{}, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watchers[w] = struct{}{}
	return w
}

func (d *directory) unwatch(w *watcher) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.watchers, w)
}

// take empties the watcher.
func (d *directory) take(w *watcher) (changed []entry, gone []hosts.ID, pushes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, there := range w.changed {
		if e, ok := d.entries[id]; ok && there {
			changed = append(changed, *e)
		} else {
			gone = append(gone, id)
		}
	}
	pushes = w.pushes
	clear(w.changed)
	w.pushes = false
	return changed, gone, pushes
}

func (d *directory) tell(id hosts.ID, there bool) {
	for w := range d.watchers {
		w.changed[id] = there
		w.ring()
	}
}

func (d *directory) tellPushes() {
	for w := range d.watchers {
		w.pushes = true
		w.ring()
	}
}

func (w *watcher) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
