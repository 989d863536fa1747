package rpc

import (
	"context"
	"crypto/x509"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"muster/internal/coordinator"
)

// acquainted is what is known of a connection that shows a certificate.
type acquainted struct {
	credentials.TLSInfo
	// before is set once a host was let in by the certificate: see coordinator.Shown.
	before *atomic.Bool
}

// callingHost is the host that the certificate of this connection names, if it may call.
func callingHost(ctx context.Context, core *coordinator.Service, chain []*x509.Certificate) (coordinator.Caller, error) {
	shown := coordinator.Shown{Certificate: chain[0], From: peerAddress(ctx)}
	var before *atomic.Bool
	if p, ok := peer.FromContext(ctx); ok {
		if known, ok := p.AuthInfo.(acquainted); ok {
			before = known.before
			shown.Before = before.Load()
		}
	}
	who, err := core.Host(ctx, shown)
	if err == nil && before != nil {
		before.Store(true)
	}
	return who, err
}
