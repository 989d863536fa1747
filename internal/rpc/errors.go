package rpc

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/identity"
	syncv1 "muster/proto/muster/sync/v1"
)

var codeOf = map[fault.Class]codes.Code{
	fault.Invalid:     codes.InvalidArgument,
	fault.Denied:      codes.PermissionDenied,
	fault.NotFound:    codes.NotFound,
	fault.Conflict:    codes.FailedPrecondition,
	fault.Unavailable: codes.Unavailable,
}

const removed = "the host was removed by an operator"

// detailed adds to a status what its words alone do not say for certain. A host that was removed is denied every call, and
// with that is told to leave.
func detailed(st *status.Status, err error, details ...protoadapt.MessageV1) error {
	if errors.Is(err, coordinator.ErrRemoved) {
		details = append(details, &syncv1.Leave{Reason: removed})
	}
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
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
		return detailed(status.New(code, f.Error()), err, &errdetails.Help{Links: []*errdetails.Help_Link{{Description: f.Remedy}}})
	case errors.Is(err, coordinator.ErrRemoved):
		return detailed(status.New(codes.PermissionDenied, removed), err)
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
