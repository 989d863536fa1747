// Package gate bounds what comes in at a listener, and what one caller has under way at once. When it is full, whoever
// has shown nothing loses its place before those that work. It counts no addresses: 50,000 hosts may share one behind a
// NAT. It knows no protocol.
package gate

import (
	"container/list"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits are those of a listener.
type Limits struct {
	// Open bounds the connections of all kinds, Waiting those that wait: for a handshake, for a proof, for a request.
	Open, Waiting int
	// Patience is how long a connection may wait, and Turn how long it may work, before it loses its place to a newcomer
	// when all places are taken. 0 is never.
	Patience, Turn time.Duration
}

// Listener accepts *Conn within its limits. A newcomer for whom there is no place is closed at once.
type Listener struct {
	net.Listener
	limits Limits

	mu      sync.Mutex
	open    int
	waiting list.List // of *Conn, the longest first
	working list.List // likewise; those that are known are in neither
	known   map[string][]*Conn

	refused, shed atomic.Int64
}

// Lost counts the newcomers for whom there was no place, and those that lost theirs.
func (l *Listener) Lost() (refused, shed int64) { return l.refused.Load(), l.shed.Load() }

// New bounds a listener.
func New(l net.Listener, limits Limits) *Listener {
	return &Listener{Listener: l, limits: limits, known: make(map[string][]*Conn)}
}

// Accept waits for a newcomer for whom there is a place.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &Conn{Conn: raw, gate: l, since: time.Now()}
		out, ok := l.enter(c)
		if out != nil {
			l.shed.Add(1)
			out.cut()
		}
		if ok {
			return c, nil
		}
		l.refused.Add(1)
		c.cut()
	}
}

// enter gives c a place, if need be that of out.
func (l *Listener) enter(c *Conn) (out *Conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.open >= l.limits.Open
	if full || l.waiting.Len() >= l.limits.Waiting {
		out = oldest(&l.waiting, l.limits.Patience, c.since)
		if out == nil && full {
			out = oldest(&l.working, l.limits.Turn, c.since)
		}
		if out == nil {
			return nil, false
		}
		l.leave(out)
	}
	l.open++
	c.in, c.at = &l.waiting, l.waiting.PushBack(c)
	return out, true
}

func oldest(l *list.List, patience time.Duration, now time.Time) *Conn {
	if first := l.Front(); first != nil && patience > 0 {
		if c := first.Value.(*Conn); now.Sub(c.since) >= patience {
			return c
		}
	}
	return nil
}

// leave takes c out of everything; l.mu is held.
func (l *Listener) leave(c *Conn) {
	if c.gone {
		return
	}
	c.gone = true
	l.open--
	c.move(nil)
	if c.who != "" {
		others := slices.DeleteFunc(l.known[c.who], func(o *Conn) bool { return o == c })
		if l.known[c.who] = others; len(others) == 0 {
			delete(l.known, c.who)
		}
	}
}

// Conn is a connection with a place. It waits until it is said to be otherwise.
type Conn struct {
	net.Conn
	gate *Listener

	// What follows is the gate's.
	since time.Time // in the list that it is in
	in    *list.List
	at    *list.Element
	who   string
	gone  bool
}

// move puts c at the end of a list, or in none; the gate's mu is held.
func (c *Conn) move(to *list.List) {
	if c.in != nil {
		c.in.Remove(c.at)
	}
	c.in, c.at, c.since = to, nil, time.Now()
	if to != nil {
		c.at = to.PushBack(c)
	}
}

// Waits says that the connection waits again, Works that it is being served.
func (c *Conn) Waits() { c.turn(&c.gate.waiting) }
func (c *Conn) Works() { c.turn(&c.gate.working) }

func (c *Conn) turn(to *list.List) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if !c.gone && c.who == "" {
		c.move(to)
	}
}

// Known says whose connection it is, which no newcomer can take the place of. Of one caller's connections the newest so
// many stay: one that comes again need not wait until its lost connections are found to be dead.
func (c *Conn) Known(who string, most int) {
	l := c.gate
	var out *Conn
	l.mu.Lock()
	if !c.gone && c.who == "" {
		c.move(nil)
		c.who = who
		if l.known[who] = append(l.known[who], c); len(l.known[who]) > most {
			out = l.known[who][0]
			l.leave(out)
		}
	}
	l.mu.Unlock()
	if out != nil {
		l.shed.Add(1)
		out.cut()
	}
}

// Close gives the place back.
func (c *Conn) Close() error {
	c.gate.mu.Lock()
	c.gate.leave(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// cut closes a connection so that nothing of it stays in the kernel.
func (c *Conn) cut() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
}
