package coordinator

import (
	"sync"

	"muster/internal/hosts"
)

// bell wakes held-back answers. A host is rung alone when its own record changed; all are rung when a roster did.
type bell struct {
	mu    sync.Mutex
	hosts map[hosts.ID]chan struct{}
	all   chan struct{}
}

// listen returns what is closed at the next ring of the host or of all. Listen before reading the state, or a change
// in between is missed.
func (b *bell) listen(id hosts.ID) (own, all <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hosts == nil {
		b.hosts = make(map[hosts.ID]chan struct{})
	}
	if b.all == nil {
		b.all = make(chan struct{})
	}
	c, ok := b.hosts[id]
	if !ok {
		c = make(chan struct{})
		b.hosts[id] = c
	}
	return c, b.all
}

func (b *bell) ring(id hosts.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.hosts[id]; ok {
		close(c)
		delete(b.hosts, id)
	}
}

func (b *bell) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all != nil {
		close(b.all)
		b.all = nil
	}
}
