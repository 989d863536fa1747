package coordinator

import (
	"maps"
	"slices"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
)

// lastHeard is when a host called last, and since when it has done so without a gap.
func (d *directory) lastHeard(id hosts.ID) (seen, steady time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e, ok := d.entries[id]; ok {
		return e.seen, e.steady
	}
	return time.Time{}, time.Time{}
}

// find lists the hosts that a condition holds for, in no order.
func (d *directory) find(holds func(entry) bool) []hosts.Host {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var found []hosts.Host
	for _, e := range d.entries {
		if holds(*e) {
			found = append(found, e.host)
		}
	}
	return found
}

// total is how many hosts have a role.
func (d *directory) total(role manifest.Role) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := 0
	for _, count := range d.counts[role] {
		n += count
	}
	return n
}

// mayFollow says whether fewer than most hosts of a role follow a change at this moment, beside the host itself: those that
// were done and are not now, unless nothing was heard of them since. One that failed counts.
func (d *directory) mayFollow(role manifest.Role, id hosts.ID, most int, since time.Time) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.isFree(role, id, most, since)
}

// begin is mayFollow, and if so the host is one of those that follow.
func (d *directory) begin(role manifest.Role, id hosts.ID, most int, since time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.entries[id]
	if !known || !d.isFree(role, id, most, since) {
		return false
	}
	add(d.follow, role, id)
	return true
}

func (d *directory) isFree(role manifest.Role, id hosts.ID, most int, since time.Time) bool {
	n := 0
	for other := range d.follow[role] {
		// One that has yet to call this process is not a straggler for that.
		if e := d.entries[other]; other != id && (e.host.Phase == hosts.Failed || e.seen.After(since) || d.began.After(since)) {
			if n++; n == most {
				return false
			}
		}
	}
	return true
}

// waits notes that a host waits for its turn to follow a change.
func (d *directory) waits(role manifest.Role, id hosts.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.entries[id]; ok {
		add(d.waiting, role, id)
	}
}

// takeWaiting gives up to n hosts that wait for their turn. They are noted again when they still have to.
func (d *directory) takeWaiting(role manifest.Role, n int) []hosts.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []hosts.ID
	for id := range d.waiting[role] {
		if len(ids) == n {
			break
		}
		ids = append(ids, id)
		delete(d.waiting[role], id)
	}
	return ids
}

// listReady are the hosts of a role that are ready.
func (d *directory) listReady(role manifest.Role) []hosts.ID {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Keys(d.ready[role]))
}

// forget takes a host out of those that are ready, follow or wait; d.mu is held.
func (d *directory) forget(h hosts.Host) {
	delete(d.ready[h.Role], h.ID)
	delete(d.follow[h.Role], h.ID)
	delete(d.waiting[h.Role], h.ID)
}

func add(to map[manifest.Role]map[hosts.ID]struct{}, role manifest.Role, id hosts.ID) {
	if to[role] == nil {
		to[role] = make(map[hosts.ID]struct{})
	}
	to[role][id] = struct{}{}
}
