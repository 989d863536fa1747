package push

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// liveConn knows when its peer was last heard of, and how long a question takes to be answered.
type liveConn struct {
	net.Conn
	heard atomic.Int64 // Unix nanoseconds
	asked atomic.Int64 // when something was written last and not answered yet; 0 if there is nothing
	// answers counts them, fastest is the shortest time that one took.
	answers, fastest atomic.Int64
}

// unasked are the first packets of both sides, which don't wait for each other.
const unasked = 2

func newLiveConn(c net.Conn) *liveConn {
	l := &liveConn{Conn: c}
	l.heard.Store(time.Now().UnixNano())
	return l
}

func (l *liveConn) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	now := time.Now().UnixNano()
	l.heard.Store(now)
	if asked := l.asked.Swap(0); asked != 0 && l.answers.Add(1) > unasked {
		if took := now - asked; l.fastest.Load() == 0 || took < l.fastest.Load() {
			l.fastest.Store(took)
		}
	}
	return n, err
}

func (l *liveConn) Write(p []byte) (int, error) {
	l.asked.Store(time.Now().UnixNano())
	return l.Conn.Write(p)
}

// rtt is a round trip, as the login showed it: its questions have small answers.
func (l *liveConn) rtt() time.Duration { return time.Duration(l.fastest.Load()) }

func (l *liveConn) silentFor() time.Duration { return time.Since(time.Unix(0, l.heard.Load())) }

// keepAlive asks the server for signs of life until the returned function is called; it calls abort when nothing at all
// was heard of it for idle.
func (c *connection) keepAlive(ctx context.Context, idle time.Duration, abort func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(max(idle/4, time.Millisecond))
		defer tick.Stop()
		var asking atomic.Bool
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			silent := c.live.silentFor()
			if silent > idle {
				abort()
				return
			}
			// Asking blocks as long as nothing can be written, so it must not hold up the watch; once is enough.
			if silent > idle/4 && asking.CompareAndSwap(false, true) {
				go func() {
					defer asking.Store(false)
					// A refusal is an answer too; an error ends the conversation anyway.
					_, _, _ = c.SendRequest("keepalive@openssh.com", true, nil)
				}()
			}
		}
	}()
	return cancel
}
