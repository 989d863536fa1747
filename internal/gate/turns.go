package gate

import (
	"context"
	"sync"
)

// Turns bounds what each of many callers has under way at once. The zero value is ready.
type Turns[K comparable] struct {
	mu sync.Mutex
	of map[K]*queue
}

type queue struct {
	here  int           // under way or waiting
	slots chan struct{} // those under way
}

// Enter takes a turn of who, of whom no more than most are under way; so many may wait for one until ctx ends. It says
// no when there is no place to wait either. Every call for one caller names the same bounds.
func (t *Turns[K]) Enter(ctx context.Context, who K, most, waiting int) (leave func(), ok bool) {
	t.mu.Lock()
	q := t.of[who]
	if q == nil {
		q = &queue{slots: make(chan struct{}, most)}
		if t.of == nil {
			t.of = make(map[K]*queue)
		}
		t.of[who] = q
	}
	full := q.here >= most+waiting
	if !full {
		q.here++
	}
	t.mu.Unlock()
	if full {
		return nil, false
	}
	select {
	case q.slots <- struct{}{}:
	case <-ctx.Done():
		t.leave(who, q)
		return nil, false
	}
	return sync.OnceFunc(func() {
		<-q.slots
		t.leave(who, q)
	}), true
}

func (t *Turns[K]) leave(who K, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.here--; q.here == 0 {
		delete(t.of, who)
	}
}
