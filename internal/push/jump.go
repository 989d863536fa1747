package push

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
)

// jumps are the connections to jump hosts. All hosts behind the same ones share one, so that a jump host sees one login
// whatever the number of hosts behind it.
type jumps struct {
	run *run
	mu  sync.Mutex
	all map[string]*jump
}

type jump struct {
	// done is closed when the outcome is there.
	done chan struct{}
	conn *connection
	err  *Error
	// broken is closed when a connection that was there is lost.
	broken chan struct{}
}

// to returns what to dial through to a host behind the servers.
func (j *jumps) to(ctx context.Context, servers []Server) (dialer, *Error) {
	if len(servers) == 0 {
		return &net.Dialer{}, nil
	}
	at := j.find(servers)
	select {
	case <-ctx.Done():
		return nil, failure(Timeout, "the jump host %s was not reached in time", servers[len(servers)-1].where())
	case <-at.done:
	}
	if at.err != nil {
		e := *at.err // each host adds its own name
		return nil, &e
	}
	return at.conn, nil
}

// find returns the connection to the last of the servers, which it begins if there is none. A jump host that failed is
// not tried again: the hosts behind it fail at once. One that was lost is.
func (j *jumps) find(servers []Server) *jump {
	key := chain(servers)
	j.mu.Lock()
	defer j.mu.Unlock()
	if at, ok := j.all[key]; ok {
		select {
		case <-at.broken:
		default:
			return at
		}
	}
	at := &jump{done: make(chan struct{}), broken: make(chan struct{})}
	j.all[key] = at
	go func() {
		defer close(at.done)
		at.conn, at.err = j.open(servers)
		if at.err == nil {
			go func() {
				_ = at.conn.Wait() // why it ended shows in what was going through it
				close(at.broken)
			}()
		}
	}()
	return at
}

func (j *jumps) open(servers []Server) (*connection, *Error) {
	last := len(servers) - 1
	through, err := j.to(j.run.ctx, servers[:last])
	if err != nil {
		return nil, err
	}
	server := servers[last]
	r := &reach{run: j.run, server: server, through: through, step: func(Step) {}, accepted: func(string) {}}
	conn, err := r.open(j.run.ctx)
	if err != nil {
		cause := *err
		cause.Where = ""
		wrapped := failure(JumpHost, "the jump host %s: %w", server.where(), &cause)
		wrapped.Remedy = err.Remedy
		return nil, wrapped
	}
	context.AfterFunc(j.run.ctx, func() { _ = conn.Close() })
	conn.keepAlive(j.run.ctx, j.run.opts.IdleTimeout, func() { _ = conn.Close() })
	return conn, nil
}

// chain identifies a way: who logs in where, with what, in which order.
func chain(servers []Server) string {
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "%s@%s %p %q %q\n", s.User, s.address(), s.Auth, s.HostKeyAlias, s.KnownHosts)
	}
	return b.String()
}
