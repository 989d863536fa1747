package gate

import "sync"

// Turns bounds what each of many callers has under way at once. The zero value is ready.
type Turns[K comparable] struct {
	mu    sync.Mutex
	taken map[K]int
}

// Enter takes a turn of who, of whom no more than most are under way, or says that there is none.
func (t *Turns[K]) Enter(who K, most int) (leave func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken[who] >= most {
		return nil, false
	}
	if t.taken == nil {
		t.taken = make(map[K]int)
	}
	t.taken[who]++
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.taken[who]--; t.taken[who] == 0 {
			delete(t.taken, who)
		}
	}), true
}
