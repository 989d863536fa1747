package rpc

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/identity"
)

var codeOf = map[fault.Class]codes.Code{
	fault.Invalid:     codes.InvalidArgument,
	fault.Denied:      codes.PermissionDenied,
	fault.NotFound:    codes.NotFound,
	fault.Conflict:    codes.FailedPrecondition,
	fault.Unavailable: codes.Unavailable,
}

// statusOf translates the core's errors; the remedy travels as google.rpc.Help. inside says what is told of the others.
func statusOf(err error, inside func(error) string) error {
	var f *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		code, known := codeOf[f.Class]
		if !known {
			code = codes.Unknown // never OK, which is the zero code
		}
		st := status.New(code, f.Error())
		if with, err := st.WithDetails(&errdetails.Help{Links: []*errdetails.Help_Link{{Description: f.Remedy}}}); err == nil {
			st = with
		}
		return st.Err()
	case errors.Is(err, coordinator.ErrRemoved):
		return status.Error(codes.PermissionDenied, "the host was removed by an operator")
	case errors.Is(err, identity.ErrCSR):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "canceled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "deadline exceeded")
	}
	if st, ok := status.FromError(err); ok {
		return st.Err()
	}
	return status.Error(codes.Internal, inside(err))
}
