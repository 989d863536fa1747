package rpc

import (
	"context"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/peer"

	"muster/internal/coordinator"
)

// caller is who calls, as the connection proves it.
type caller struct {
	is    Identity
	actor coordinator.Actor
	host  coordinator.Caller
	// operator and serial name the record that the right of an operator with a certificate stands in.
	operator, serial string
	// Of an operator with a certificate: what it has open ends with its right.
	ended <-chan struct{}
	left  time.Duration
}

// identify finds out who calls, whichever door it comes through. An error is somebody who has shown something that is
// good no more, and is recorded already.
func identify(ctx context.Context, core *coordinator.Service) (caller, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if unix, ok := p.AuthInfo.(peerInfo); ok {
			return onSocket(unix.uid), nil
		}
	}
	from := peerAddress(ctx)
	nobody := caller{is: Anyone}
	if from.IsValid() {
		nobody.actor.From = from.String()
	}
	info, ok := tlsInfo(ctx)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nobody, nil
	}
	chain := info.State.VerifiedChains[0]
	client, err := core.Client(ctx, chain, nobody.actor)
	if err != nil {
		return nobody, err
	}
	if client.Operator != "" {
		standing, err := core.Operator(ctx, client.Operator, chain[0], nobody.actor.From)
		if err != nil {
			return nobody, err
		}
		return caller{
			is:       Identity(standing.Level),
			actor:    coordinator.Actor{Name: "operator " + standing.Name + " (" + string(standing.Level) + ")", From: nobody.actor.From},
			operator: standing.Name, serial: standing.Serial,
			ended: standing.Ended, left: standing.Left,
		}, nil
	}
	host, err := callingHost(ctx, core, chain)
	if err != nil {
		return nobody, err
	}
	return caller{is: HostCert, actor: coordinator.Actor{Name: "host " + string(host.Host), From: nobody.actor.From}, host: host}, nil
}

// onSocket lets in root and the user that the coordinator runs as.
func onSocket(uid uint32) caller {
	c := caller{is: Anyone, actor: coordinator.Actor{Name: "uid " + strconv.Itoa(int(uid)), From: "unix socket"}}
	if uid == 0 || int(uid) == os.Getuid() {
		c.is = Admin
	}
	return c
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// actor is who calls, for the events of the core.
func actor(ctx context.Context) coordinator.Actor { return callerOf(ctx).actor }

// hostOf is the host that calls.
func hostOf(ctx context.Context) coordinator.Caller { return callerOf(ctx).host }
