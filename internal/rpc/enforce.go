package rpc

import (
	"context"
	"fmt"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/gate"
)

// authorize applies the table to every call through one door. What inside answers, callers are told of a failure that is
// nobody's fault but the coordinator's.
func authorize(core *coordinator.Service, inside func(error) string) (grpc.UnaryServerInterceptor, grpc.StreamServerInterceptor) {
	var calls gate.Turns[string]
	unary := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		c, err := permit(ctx, core, info.FullMethod)
		if err != nil {
			return nil, statusOf(err, inside)
		}
		leave, err := turn(ctx, core, &calls, c)
		if err != nil {
			return nil, statusOf(err, inside)
		}
		defer leave()
		resp, err := next(withCaller(ctx, c), req)
		return resp, statusOf(err, inside)
	}
	stream := func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		c, err := permit(ss.Context(), core, info.FullMethod)
		if err != nil {
			return statusOf(err, inside)
		}
		leave, err := turn(ss.Context(), core, &calls, c)
		if err != nil {
			return statusOf(err, inside)
		}
		defer leave()
		ctx := withCaller(ss.Context(), c)
		return statusOf(untilEnded(c, func() error { return next(srv, &knownStream{ss, ctx}) }), inside)
	}
	return unary, stream
}

// turn is one of those that a host, or an operator elsewhere, may have under way.
func turn(ctx context.Context, core *coordinator.Service, calls *gate.Turns[string], c caller) (leave func(), err error) {
	if c.is != HostCert && c.ended == nil {
		return func() {}, nil
	}
	leave, ok := calls.Enter(ctx, c.actor.Name, callsAtATime, 0)
	if ok {
		return leave, nil
	}
	if err := core.Denied(ctx, c.actor, "limit-reached", "too many calls at once"); err != nil {
		return nil, err
	}
	return nil, status.Error(codes.ResourceExhausted, c.actor.Name+" has too many calls under way")
}

// permit is the one place that decides whether a call is let in.
func permit(ctx context.Context, core *coordinator.Service, method string) (caller, error) {
	rule := Table[method]
	if rule.For == Anyone {
		return caller{is: Anyone}, nil
	}
	c, err := identify(ctx, core)
	if err != nil {
		return c, err
	}
	if rule.For != "" && rule.Admits(c.is) {
		return c, nil
	}
	refusal := refuse(rule, c)
	if err := core.Denied(ctx, c.actor, "call-denied", path.Base(method)+": "+status.Convert(statusOf(refusal, error.Error)).Message()); err != nil {
		return c, err
	}
	return c, refusal
}

// refuse says to somebody who may not call what is missing.
func refuse(rule Rule, c caller) error {
	name := c.actor.Name
	if name == "" {
		name = "a caller without a certificate"
	}
	switch {
	case rule.For == "":
		return fault.New(fault.Denied, "use another version of this program", "nobody may make this call")
	case rule.For == HostCert && c.is == Anyone:
		return status.Error(codes.Unauthenticated, "this call needs a host certificate; enrol first")
	case rule.For == HostCert || c.is == HostCert:
		return fault.New(fault.Denied, "call as what the call is for", "this call is for a %s, not for %s", rule.For, name)
	case c.is == Anyone && c.actor.Name == "":
		return status.Error(codes.Unauthenticated, "this call needs an operator's credential; ask an admin for: coordinator operator create NAME --level "+string(rule.For))
	case c.is == Anyone:
		return fault.New(fault.Denied, "be root or the user that the coordinator runs as, or use a credential: --coordinator HOST:PORT --credential FILE",
			"this call is for an operator, not for %s", name)
	}
	return fault.New(fault.Denied, fmt.Sprintf("ask an admin for a credential of that level: coordinator operator create NAME --level %s --out FILE", rule.For),
		"this call needs level %s, and the caller is %s", rule.For, name)
}

// untilEnded runs a stream until it is over or the operator's right to it is, whatever the stream waits for.
func untilEnded(c caller, run func() error) error {
	if c.ended == nil {
		return run()
	}
	done := make(chan error, 1)
	go func() { done <- run() }()
	expiry := time.NewTimer(c.left)
	defer expiry.Stop()
	const remedy = "ask an admin for a new credential: coordinator operator create NAME --level LEVEL --out FILE"
	select {
	case err := <-done:
		return err
	case <-c.ended:
		return fault.New(fault.Denied, remedy, "%s was revoked", c.actor.Name)
	case <-expiry.C:
		return fault.New(fault.Denied, remedy, "the credential of %s has expired", c.actor.Name)
	}
}

type knownStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *knownStream) Context() context.Context { return s.ctx }
