package push

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// keepAliveEvery is how often the host is asked for a sign of life; three unanswered ones end the push to it.
const keepAliveEvery = 15 * time.Second

// connect reaches the host, verifies its key and logs in, all within ConnectTimeout.
func (h *host) connect(ctx context.Context) (*ssh.Client, *Error) {
	h.enter(Connecting, nil)
	ctx, cancel := context.WithTimeoutCause(ctx, h.opts.ConnectTimeout, errConnectTimeout)
	defer cancel()

	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.target.address())
	if err != nil {
		return nil, h.unreachable(ctx, err)
	}
	check := h.keys.checkOf(h.target.address(), h.target.Name)
	h.enter(Authenticating, nil)
	client, err := h.handshake(ctx, conn, check)
	if err == nil {
		return client, nil
	}
	_ = conn.Close() // already failed
	// What the host key says counts more than the time: both may be true.
	if check.err != nil {
		return nil, check.err
	}
	if ended := h.ended(ctx); ended != nil {
		return nil, ended
	}
	return nil, h.refused(err, check)
}

func (h *host) unreachable(ctx context.Context, err error) *Error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errConnectTimeout) && !errors.Is(cause, errHostTimeout) {
		return h.ended(ctx)
	}
	var lookUp *net.DNSError
	switch {
	case errors.As(err, &lookUp):
		return failure(Unreachable, "the name %s has no address: %w", printable(h.target.Address), err).
			remedy("Correct the name, or give the host's IP address.")
	case ctx.Err() != nil:
		return failure(Unreachable, "no answer within %s", min(h.opts.ConnectTimeout, h.opts.HostTimeout))
	}
	return failure(Unreachable, "no connection: %w", err)
}

// handshake exchanges keys and logs in. It returns when ctx ends even if an SSH agent keeps a signature waiting, which
// closing the connection doesn't end.
func (h *host) handshake(ctx context.Context, conn net.Conn, check *hostKeyCheck) (*ssh.Client, error) {
	config := &ssh.ClientConfig{
		User:              h.target.User,
		Auth:              h.opts.Auth.methods(),
		ClientVersion:     "SSH-2.0-muster",
		HostKeyAlgorithms: check.algorithms,
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			if err := check.verify(name, remote, key); err != nil {
				return err
			}
			if check.accepted != "" {
				h.mu.Lock()
				h.newHostKey = check.accepted
				h.mu.Unlock()
				h.tell(Event{})
			}
			return nil
		},
	}
	type outcome struct {
		client *ssh.Client
		err    error
	}
	done := make(chan outcome, 1)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	go func() {
		c, channels, requests, err := ssh.NewClientConn(conn, h.target.address(), config)
		if err != nil {
			done <- outcome{err: err}
			return
		}
		done <- outcome{client: ssh.NewClient(c, channels, requests)}
	}()
	select {
	case o := <-done:
		return o.client, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// refused explains why the handshake failed.
func (h *host) refused(err error, check *hostKeyCheck) *Error {
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &negotiation) && slices.Equal(negotiation.SupportedAlgorithms, check.algorithms):
		return check.notOffered(negotiation.RequestedAlgorithms)
	case errors.As(err, &negotiation):
		return failure(Algorithms, "no common SSH algorithm for %s: the host offers %s", negotiation.What,
			shorten(printable(strings.Join(negotiation.RequestedAlgorithms, ", "))))
	case !check.checked:
		return failure(Unreachable, "what answers there ends the connection before it shows a host key: %s", shorten(printable(err.Error()))).
			remedy("Check that the port is the SSH server's and that the server doesn't turn Muster's address away (MaxStartups, tcp wrappers).")
	}
	return failure(AuthRefused, "the login of %s is refused with %s (%s)", h.target.User, h.opts.Auth.describe(), shorten(printable(err.Error())))
}

// keepAlive asks the host for signs of life until the returned function is called; without them it aborts.
func keepAlive(ctx context.Context, client *ssh.Client, abort context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(keepAliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				// A refusal is an answer too; an error ends the conversation anyway.
				_, _, _ = client.SendRequest("keepalive@openssh.com", true, nil)
			}()
			select {
			case <-ctx.Done():
				return
			case <-answered:
			case <-time.After(3 * keepAliveEvery):
				abort(errSilent)
				return
			}
		}
	}()
	return cancel
}
