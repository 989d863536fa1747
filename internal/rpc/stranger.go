package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"muster/internal/coordinator"
)

const (
	// A stranger can do nothing but enrol, for which a few KiB and a moment are enough. gRPC would buffer maxMessage for
	// it before anything of ours is asked, on any number of connections that stay open for as long as they like.
	strangerBytes   = 64 << 10
	strangerStreams = 4
	strangerTime    = 2 * enrolTimeout
)

// strangerCredentials are TLS with bounds for the connections that show no certificate, or none that is good.
type strangerCredentials struct {
	credentials.TransportCredentials
	time time.Duration
	// refused is told of certificates that do not verify.
	refused func(from net.Addr, why error)
	// knows says whether who shows this chain, which is verified, may call.
	knows func(chain []*x509.Certificate) bool
}

func (c strangerCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	first := &greeting{Conn: raw, left: handshakeBytes}
	conn, auth, err := c.TransportCredentials.ServerHandshake(first)
	first.over = true // whoever reads from now on begins after this
	if err != nil {
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			c.refused(raw.RemoteAddr(), bad)
		}
		return conn, auth, err
	}
	// One who shows a certificate that has ended must not take the place of the one whose name is in it, nor have more of
	// the coordinator than a stranger has. It is told so at its first call.
	if info, ok := auth.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 && c.knows(info.State.VerifiedChains[0]) {
		known(raw, info.State.VerifiedChains[0][0])
		return conn, acquainted{info, new(atomic.Bool)}, nil
	}
	s := &stranger{Conn: conn, left: strangerBytes, end: time.AfterFunc(c.time, func() { _ = conn.Close() })}
	if info, ok := auth.(credentials.TLSInfo); ok {
		auth = strangerInfo{info, s}
	}
	return s, auth, nil
}

// strangerInfo is what is known of a connection that shows no certificate.
type strangerInfo struct {
	credentials.TLSInfo
	*stranger
}

// countStreams ends a stranger's connection when it opens more streams than an enrolment takes. gRPC asks before it
// spends anything on a stream.
func countStreams(core *coordinator.Service) tap.ServerInHandle {
	return func(ctx context.Context, _ *tap.Info) (context.Context, error) {
		p, ok := peer.FromContext(ctx)
		if !ok {
			return ctx, nil
		}
		info, ok := p.AuthInfo.(strangerInfo)
		if !ok || info.streams.Add(1) <= strangerStreams {
			return ctx, nil
		}
		if info.over.CompareAndSwap(false, true) {
			if err := core.Denied(ctx, coordinator.Actor{From: peerAddress(ctx).String()}, "limit-reached", "a caller without a good certificate opened too many streams"); err != nil {
				core.Trouble(err)
			}
			_ = info.end.Reset(0) // closes it, for which the reader here need not wait
		}
		return ctx, status.Error(codes.ResourceExhausted, errStranger.Error())
	}
}

func (c strangerCredentials) Clone() credentials.TransportCredentials {
	return strangerCredentials{c.TransportCredentials.Clone(), c.time, c.refused, c.knows}
}

func (strangerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("for servers only")
}

// stranger is a connection without a certificate. One goroutine reads from it.
type stranger struct {
	net.Conn
	left    int
	end     *time.Timer
	streams atomic.Int32
	over    atomic.Bool
}

var errStranger = errors.New("more than an enrolment takes")

func (s *stranger) Read(p []byte) (int, error) {
	if s.left == 0 || s.over.Load() {
		return 0, errStranger
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

func (s *stranger) Close() error {
	s.end.Stop()
	return s.Conn.Close()
}
