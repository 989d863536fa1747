package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"muster/internal/fault"
	operatorv1 "muster/proto/muster/operator/v1"
)

func statePath(cmd *cobra.Command, name string) string {
	state, _ := cmd.Flags().GetString("state")
	return filepath.Join(state, name)
}

const socketName = "operator.sock"

// callTimeout bounds every call that has one answer. The longest writes every secret anew.
const callTimeout = time.Minute

// talking are the commands that work from another machine as well.
var talking = map[string]bool{
	"status": true, "events": true, "wait": true, "push": true, "deploy": true, "user-data": true,
	"hosts list": true, "hosts approve": true, "hosts retry": true, "hosts replace": true, "hosts remove": true, "hosts release": true, "hosts readmit": true,
	"token create": true, "token list": true, "token revoke": true,
	"secret set": true, "secret generate": true, "secret list": true, "secret export": true, "secret rekey": true, "secret load": true,
	"ca show": true, "ca rotate": true,
	"operator create": true, "operator list": true, "operator revoke": true, "page": true,
}

func commandName(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}

// onlyHere refuses --coordinator where it would be passed over in silence.
func onlyHere(cmd *cobra.Command, _ []string) error {
	for _, name := range []string{"coordinator", "credential"} {
		if !talking[commandName(cmd)] && cmd.Flags().Changed(name) {
			return usageError(fmt.Errorf("%s works on files of this machine and calls no coordinator: leave --%s out, or run it on the coordinator's machine",
				cmd.CommandPath(), name))
		}
	}
	return nil
}

// connect reaches the running coordinator: over its Unix socket, where the kernel tells it who calls, or over mutual TLS
// when a coordinator or a credential is named.
func connect(cmd *cobra.Command) (operatorv1.OperatorServiceClient, func(), error) {
	far, err := remoteOf(cmd)
	if err != nil {
		return nil, nil, err
	}
	explain := func(err error) error { return err }
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
	}
	if far != nil {
		explain = far.explain
		options = append(options, grpc.WithContextDialer(far.dial),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}))
	} else {
		path := statePath(cmd, socketName)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fault.New(fault.Unavailable, "start it with: coordinator serve; or name its state directory with --state; from another machine: --coordinator HOST:PORT",
				"no coordinator runs here: there is no %s", path)
		}
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("no coordinator answers on %s; start it with: coordinator serve", path)
			}
			return c, nil
		}))
	}
	options = append(options, grpc.WithChainUnaryInterceptor(bounded(explain)), grpc.WithChainStreamInterceptor(streamed(explain)))
	conn, err := grpc.NewClient("passthrough:///coordinator", options...)
	if err != nil {
		return nil, nil, err
	}
	return operatorv1.NewOperatorServiceClient(conn), func() { _ = conn.Close() }, nil
}

// bounded gives every call a deadline, and errors the words that help.
func bounded(explain func(error) error) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		bound, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err := invoke(bound, method, req, reply, cc, opts...)
		if status.Code(err) == codes.DeadlineExceeded && ctx.Err() == nil {
			return reworded(err, fault.New(fault.Unavailable, "try again; if that is no better look at the coordinator's log and at the network",
				"the coordinator has not answered within %s", callTimeout))
		}
		return explain(skewed(err))
	}
}

func streamed(explain func(error) error) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, cc, method, opts...)
		if err != nil {
			return nil, explain(skewed(err))
		}
		return explainedStream{stream, explain}, nil
	}
}

type explainedStream struct {
	grpc.ClientStream
	explain func(error) error
}

func (s explainedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if _, ok := status.FromError(err); err == nil || !ok {
		return err // io.EOF among them
	}
	return s.explain(skewed(err))
}

// skewed recognises a coordinator that does not know the call.
func skewed(err error) error {
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	return reworded(err, fault.New(fault.Conflict, "use the coordinator program of the version that serves (coordinator version), or restart it with this one",
		"the coordinator does not know this call: it is of another version than this program"))
}

// rewordedError says an RPC's failure in words that help, and stays the failure that it is.
type rewordedError struct {
	said *fault.Error
	code codes.Code
}

func reworded(err error, said *fault.Error) error { return &rewordedError{said, status.Code(err)} }

// GRPCStatus keeps the code for those who ask for it.
func (e *rewordedError) GRPCStatus() *status.Status { return status.New(e.code, e.said.Error()) }

func (e *rewordedError) Error() string { return e.said.Error() }

func (e *rewordedError) Unwrap() error { return e.said }
