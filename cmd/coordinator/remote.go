package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/credential"
	"muster/internal/fault"
)

const (
	dialTimeout = 10 * time.Second
	remake      = "ask an admin for a new credential: coordinator operator create NAME --level LEVEL --out FILE"
)

// remoteFlags are for every command; see talking for those that heed them.
func remoteFlags(root *cobra.Command) {
	root.PersistentFlags().String("coordinator", "", "call the coordinator on another machine, as HOST:PORT (default: MUSTER_COORDINATOR; else the one here)")
	root.PersistentFlags().String("credential", "", "the operator's credential for it (default: MUSTER_CREDENTIAL, else "+filepath.Join("$XDG_CONFIG_HOME", "muster", "credential.pem")+")")
	root.PersistentPreRunE = onlyHere
}

// farCoordinator is a coordinator on another machine, and the last thing that went wrong on the way to it.
type farCoordinator struct {
	credential *credential.Credential
	path       string
	addresses  []string

	mu   sync.Mutex
	last error
}

// remoteOf is the coordinator that the flags or the environment name; nil for the one on this machine. Without either it
// is the one of the credential in its usual place, where no coordinator runs here.
func remoteOf(cmd *cobra.Command) (*farCoordinator, error) {
	address, path := setting(cmd, "coordinator", "MUSTER_COORDINATOR"), setting(cmd, "credential", "MUSTER_CREDENTIAL")
	usual := ""
	if dir, err := os.UserConfigDir(); err == nil {
		usual = filepath.Join(dir, "muster", "credential.pem")
	}
	if address == "" && path == "" {
		_, here := os.Stat(statePath(cmd, socketName))
		_, there := os.Stat(usual)
		if here == nil || there != nil || cmd.Flags().Changed("state") {
			return nil, nil
		}
	}
	if path == "" {
		path = usual
	}
	c, err := credential.Read(path)
	if err != nil {
		return nil, err
	}
	r := &farCoordinator{credential: c, path: path, addresses: c.Coordinators}
	if address != "" {
		r.addresses = []string{address}
	}
	for _, a := range r.addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || !isPort(port) {
			return nil, usageError(fmt.Errorf("%.80q is not HOST:PORT; the port is coordinator.grpc_port of cluster.yaml", a))
		}
	}
	if len(r.addresses) == 0 {
		return nil, usageError(fmt.Errorf("the credential %s names no coordinator: say --coordinator HOST:PORT", path))
	}
	return r, nil
}

func setting(cmd *cobra.Command, flag, variable string) string {
	if v, err := cmd.Flags().GetString(flag); err == nil && (v != "" || cmd.Flags().Changed(flag)) {
		return v
	}
	return os.Getenv(variable)
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// dial tries each address in turn. gRPC sees a connection on which TLS is done, and this keeps why there is none.
func (r *farCoordinator) dial(ctx context.Context, _ string) (net.Conn, error) {
	var failed []error
	for _, address := range r.addresses {
		conn, err := r.dialOne(ctx, address)
		if err == nil {
			r.note(nil)
			return conn, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	err := errors.Join(failed...)
	r.note(err)
	return nil, err
}

func (r *farCoordinator) dialOne(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config, err := r.credential.TLS(host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	// In TLS 1.3 a server judges the client's certificate after the handshake. It speaks first in HTTP/2 (RFC 9113, 3.4): so
	// the first byte tells, before anything is written that a reset would lose the reason with.
	first := make([]byte, 1)
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if _, err := conn.Read(first); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &begunConn{conn, first}, nil
}

func (r *farCoordinator) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
}

// begunConn is a connection of which the first byte has been read.
type begunConn struct {
	net.Conn
	first []byte
}

// Read gives the first byte back. gRPC reads from one goroutine.
func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// isAlert says whether the other side has ended TLS with a reason; crypto/tls has no type for it that could be named.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// explain says what to do about a call that never got to the coordinator, or was not let in.
func (r *farCoordinator) explain(err error) error {
	code := status.Code(err)
	if err == nil || code != codes.Unavailable && code != codes.Unauthenticated {
		return err
	}
	r.mu.Lock()
	why := r.last
	r.mu.Unlock()
	at := strings.Join(r.addresses, ", ")
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	expired := !time.Now().Before(r.credential.Expires())
	switch {
	case why == nil:
		return err
	case errors.As(why, &authority):
		return reworded(err, fault.New(fault.Denied, "name the coordinator of cluster "+r.credential.Cluster+", or use the credential of this one; "+remake,
			"the coordinator at %s is not the one of the credential %s: its certificate is of another CA", at, r.path))
	case errors.As(why, &name):
		return reworded(err, fault.New(fault.Invalid, "use one of "+strings.Join(r.credential.Coordinators, ", ")+", or add the name to coordinator.addresses in cluster.yaml",
			"the coordinator at %s has no certificate for that name", at).Because(why))
	case isAlert(why) && expired:
		return reworded(err, fault.New(fault.Denied, remake, "the credential %s expired at %s", r.path, r.credential.Expires().Local().Format(time.RFC3339)))
	case isAlert(why):
		return reworded(err, fault.New(fault.Denied, "check the clocks of both machines; "+remake, "the coordinator at %s refuses the credential %s", at, r.path).Because(why))
	}
	return reworded(err, fault.New(fault.Unavailable, "check that the coordinator runs, its address, and that a firewall lets port coordinator.grpc_port through",
		"the coordinator at %s cannot be reached", at).Because(oneLine(why)))
}

// oneLine is an error for people, without the line ends of errors.Join.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }
