package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"muster/internal/gate"
)

const (
	// writeTimeout is long enough for 100 MiB over a slow line.
	writeTimeout = 30 * time.Minute
	// stepBytes is what a client must take within stepTime, 8 KiB a second, whoever else waits for its place or not.
	stepBytes = 256 << 10
	stepTime  = 30 * time.Second
	// When all places are taken, a connection without a request may stay for patience, and one with a download for turn:
	// who is cut off goes on from there with a range.
	patience = time.Second
	turn     = time.Minute
)

// NewServer bounds what a client can make a server wait for.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnState: func(conn net.Conn, state http.ConnState) {
			c, ok := conn.(*paced)
			switch {
			case !ok:
			case state == http.StateActive:
				c.Works()
			case state == http.StateIdle:
				c.Waits()
			}
		},
	}
}

// Serve runs until the server is shut down; that end is no error.
func Serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Bounded is l with at most so many connections at once, each of which must take what it asked for at a bearable pace.
// A server of NewServer tells which of them may go when there are too many.
func Bounded(l net.Listener, open int) net.Listener {
	return pacing{gate.New(l, gate.Limits{Open: open, Waiting: open, Patience: patience, Turn: turn})}
}

type pacing struct{ *gate.Listener }

func (l pacing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &paced{Conn: c.(*gate.Conn)}, nil
}

// paced is a connection that ends when its client takes too little.
type paced struct {
	*gate.Conn
	end time.Time // the server's deadline for all of an answer
}

// SetWriteDeadline implements net.Conn.
func (p *paced) SetWriteDeadline(t time.Time) error {
	p.end = t
	return p.Conn.SetWriteDeadline(t)
}

func (p *paced) step() error {
	deadline := time.Now().Add(stepTime)
	if !p.end.IsZero() && p.end.Before(deadline) {
		deadline = p.end
	}
	return p.Conn.SetWriteDeadline(deadline)
}

// Write implements net.Conn.
func (p *paced) Write(b []byte) (n int, err error) {
	for {
		if err := p.step(); err != nil {
			return n, err
		}
		m, err := p.Conn.Write(b[n:min(len(b), n+stepBytes)])
		if n += m; err != nil || n == len(b) {
			return n, err
		}
	}
}

// ReadFrom implements io.ReaderFrom, through which the kernel copies from a file to the socket.
func (p *paced) ReadFrom(r io.Reader) (n int64, err error) {
	to, ok := p.Conn.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{p}, r)
	}
	// The kernel copies for a file, or for a limited one, and for nothing that is wrapped further.
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	for limited.N > 0 {
		if err := p.step(); err != nil {
			return n, err
		}
		part := io.LimitedReader{R: limited.R, N: min(limited.N, stepBytes)}
		m, err := to.ReadFrom(&part)
		n += m
		limited.N -= m
		if err != nil || m == 0 {
			return n, err
		}
	}
	return n, nil
}
