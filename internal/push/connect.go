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

// dialer opens a connection to host:port.
type dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// reach is the way to one SSH server, up to the login.
type reach struct {
	run    *run
	server Server
	// through is the last jump host, or the network itself.
	through dialer
	// step and accepted are told what happens.
	step     func(Step)
	accepted func(fingerprint string)
}

// connection is an SSH connection that was logged in to.
type connection struct {
	*ssh.Client
	live *liveConn
}

// open reaches the server, verifies its key and logs in, all within its ConnectTimeout.
func (r *reach) open(ctx context.Context) (*connection, *Error) {
	timeout := r.server.ConnectTimeout
	if timeout <= 0 {
		timeout = r.run.opts.ConnectTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errConnectTimeout)
	defer cancel()

	keys, failed := r.run.hostKeys(r.server)
	if failed != nil {
		return nil, failed
	}
	auth := r.server.Auth
	if auth == nil {
		auth = r.run.opts.Auth
	}
	if auth.empty() {
		return nil, failure(Invalid, "there is no key to log in with").
			remedy("Name a private key with --identity, load one with ssh-add, or use --ask-password.")
	}
	r.step(Connecting)
	plain, err := r.through.DialContext(ctx, "tcp", r.server.address())
	if err != nil {
		return nil, r.unreachable(ctx, err, timeout)
	}
	conn := newLiveConn(plain)
	check := keys.checkOf(r.server)
	r.step(Authenticating)
	attempt := &login{auth: auth}
	client, err := r.handshake(ctx, conn, check, attempt)
	if err == nil {
		return &connection{client, conn}, nil
	}
	_ = conn.Close() // already failed
	// What the host key says counts more than the time: both may be true.
	if check.err != nil {
		return nil, check.err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errConnectTimeout) {
		return nil, failure(Timeout, "no login within %s; it was %s", timeout, Authenticating)
	} else if cause != nil {
		return nil, failure(Interrupted, "interrupted; it was %s", Authenticating)
	}
	return nil, r.refused(err, check, attempt)
}

func (r *reach) unreachable(ctx context.Context, err error, timeout time.Duration) *Error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errConnectTimeout) && !errors.Is(cause, errHostTimeout) {
		return failure(Interrupted, "interrupted; it was %s", Connecting)
	}
	var lookUp *net.DNSError
	var forward *ssh.OpenChannelError
	switch {
	case errors.As(err, &lookUp):
		return failure(Unreachable, "the name %s has no address: %w", printable(r.server.Address), err).
			remedy("Correct the name, or give the host's IP address.")
	case errors.As(err, &forward) && forward.Reason == ssh.Prohibited:
		return failure(JumpHost, "the jump host doesn't forward to it: %s", shorten(printable(forward.Message))).
			remedy("Let the jump host's SSH server forward (AllowTcpForwarding, PermitOpen).")
	case errors.As(err, &forward):
		return failure(Unreachable, "the jump host gets no connection: %s", shorten(printable(forward.Message)))
	case ctx.Err() != nil:
		return failure(Unreachable, "no answer within %s", min(timeout, r.run.opts.HostTimeout))
	}
	return failure(Unreachable, "no connection: %w", err)
}

// handshake exchanges keys and logs in. It returns when ctx ends even if an SSH agent keeps a signature waiting, which
// closing the connection doesn't end.
func (r *reach) handshake(ctx context.Context, conn net.Conn, check *hostKeyCheck, attempt *login) (*ssh.Client, error) {
	config := &ssh.ClientConfig{
		User:              r.server.User,
		Auth:              attempt.methods(),
		AuthCallback:      attempt.watch,
		ClientVersion:     "SSH-2.0-muster",
		HostKeyAlgorithms: check.algorithms,
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			if err := check.verify(name, remote, key); err != nil {
				return err
			}
			if check.accepted != "" {
				r.accepted(check.accepted)
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
		c, channels, requests, err := ssh.NewClientConn(conn, r.server.address(), config)
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
func (r *reach) refused(err error, check *hostKeyCheck, attempt *login) *Error {
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
	return attempt.refused(r.server.User, err)
}
