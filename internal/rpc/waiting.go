package rpc

import (
	"container/list"
	"sync"
	"time"
)

// patience is how long a host may let us wait for its next word while others wait for its place.
const patience = time.Second

// waitingRoom bounds the enrolments under way. When it is full, a host that has been silent for too long loses its place
// to the newcomer: who opens streams and says nothing keeps nobody out.
type waitingRoom struct {
	size   int
	mu     sync.Mutex
	taken  int
	silent list.List // of *place, the longest silent first
}

// place is one enrolment's. lost is closed when another has got it.
type place struct {
	since time.Time
	lost  chan struct{}
	at    *list.Element // in silent; nil once it is served or lost
}

// enter takes a place, or says that there is none.
func (r *waitingRoom) enter(now time.Time) (*place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken == r.size {
		oldest := r.silent.Front()
		if oldest == nil || now.Sub(oldest.Value.(*place).since) < patience {
			return nil, false
		}
		out := oldest.Value.(*place)
		r.forget(out)
		close(out.lost)
		r.taken--
	}
	r.taken++
	p := &place{since: now, lost: make(chan struct{})}
	p.at = r.silent.PushBack(p)
	return p, true
}

// serve keeps the place from being lost: the host has said all that it has to.
func (r *waitingRoom) serve(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(p)
}

// leave gives the place back, unless it is lost already.
func (r *waitingRoom) leave(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(p)
	select {
	case <-p.lost:
	default:
		r.taken--
	}
}

func (r *waitingRoom) forget(p *place) {
	if p.at != nil {
		r.silent.Remove(p.at)
		p.at = nil
	}
}
