package rpc

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"muster/internal/gate"
)

const (
	// Connections that have shown no certificate, and how long one may have been there when it loses its place to a
	// newcomer because there are so many. An enrolment takes a few round trips.
	maxStrangers     = 2048
	strangerPatience = 250 * time.Millisecond
	// An identity has so many connections, and one that comes again ends its oldest. A bootstrap agent has one, and for a
	// moment two when it renews. An operator has as many as commands run.
	perHost     = 3
	perOperator = 32
	// callsAtATime bounds what one host or operator has under way on all of them. A bootstrap agent makes one call at a
	// time.
	callsAtATime = 16
	// handshakeBytes is what a handshake may take, a host's certificates included; with P-256 that is some 3 KiB.
	handshakeBytes = 24 << 10
	// grpcBuffer is what gRPC keeps for a connection that is read from, and while it is written to. Most messages of
	// hosts fit, and 15,000 hosts are connected at a time.
	grpcBuffer = 4 << 10
)

// Bounded is l with at most so many connections at once, of which strangers have a part.
func Bounded(l net.Listener, open int) net.Listener {
	return gate.New(l, gate.Limits{Open: open, Waiting: min(maxStrangers, max(1, open/2)), Patience: strangerPatience})
}

// known tells the gate, if there is one, whose connection it is: by certificate, never by address.
func known(conn net.Conn, leaf *x509.Certificate) {
	c, ok := conn.(*gate.Conn)
	if !ok || len(leaf.URIs) != 1 {
		return
	}
	who, most := leaf.URIs[0].String(), perHost
	if strings.HasPrefix(leaf.URIs[0].Path, "/operator/") {
		most = perOperator
	}
	c.Known(who, most)
}

var errHandshake = errors.New("more than a handshake takes")

// greeting bounds what is read of a connection until its handshake is over.
type greeting struct {
	net.Conn
	left int
	over bool
}

func (g *greeting) Read(p []byte) (int, error) {
	if g.over {
		return g.Conn.Read(p)
	}
	if g.left == 0 {
		return 0, errHandshake
	}
	n, err := g.Conn.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}
