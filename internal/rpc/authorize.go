// Package rpc is the gRPC front door: it says who calls, refuses who may not, and translates to the core. It holds no
// rule of its own but the authorisation table.
package rpc

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// Identity is the kind of a caller.
type Identity string

// The kinds of callers. Anyone is a connection that has shown nothing.
const (
	Anyone   Identity = "anyone"
	HostCert Identity = "host"
	Operator Identity = "operator"
)

// Table says who may call which method. What is not in it is denied, and a server with such a method does not start.
var Table = map[string]Identity{
	enrolmentv1.EnrolmentService_Enroll_FullMethodName: Anyone,

	syncv1.SyncService_Sync_FullMethodName:  HostCert,
	syncv1.SyncService_Renew_FullMethodName: HostCert,

	operatorv1.OperatorService_GetCluster_FullMethodName:  Operator,
	operatorv1.OperatorService_ListHosts_FullMethodName:   Operator,
	operatorv1.OperatorService_GetHost_FullMethodName:     Operator,
	operatorv1.OperatorService_WatchHosts_FullMethodName:  Operator,
	operatorv1.OperatorService_ListEvents_FullMethodName:  Operator,
	operatorv1.OperatorService_CreateToken_FullMethodName: Operator,
	operatorv1.OperatorService_ListTokens_FullMethodName:  Operator,
	operatorv1.OperatorService_RevokeToken_FullMethodName: Operator,
	operatorv1.OperatorService_CreateSeed_FullMethodName:  Operator,
	operatorv1.OperatorService_RecordPush_FullMethodName:  Operator,
	operatorv1.OperatorService_AssignHost_FullMethodName:  Operator,
	operatorv1.OperatorService_RetryHost_FullMethodName:   Operator,
	operatorv1.OperatorService_RemoveHost_FullMethodName:  Operator,

	operatorv1.OperatorService_SetSecret_FullMethodName:      Operator,
	operatorv1.OperatorService_GenerateSecret_FullMethodName: Operator,
	operatorv1.OperatorService_ListSecrets_FullMethodName:    Operator,
	operatorv1.OperatorService_RekeySecrets_FullMethodName:   Operator,
	operatorv1.OperatorService_ExportSecrets_FullMethodName:  Operator,
}

// Covered returns an error that names the methods of the server which the table does not have.
func Covered(server *grpc.Server) error {
	var missing []string
	for service, info := range server.GetServiceInfo() {
		for _, m := range info.Methods {
			if name := "/" + service + "/" + m.Name; Table[name] == "" {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("methods without a row in the authorisation table: %v", missing)
}

// identify is how a door finds out who calls: the context it returns carries the caller.
type identify func(ctx context.Context) (context.Context, Identity, error)

// authorize applies the table to every call through one door. What inside answers, callers are told of a failure that is
// nobody's fault but the coordinator's.
func authorize(who identify, inside func(error) string) (grpc.UnaryServerInterceptor, grpc.StreamServerInterceptor) {
	check := func(ctx context.Context, method string) (context.Context, error) {
		want := Table[method]
		if want == "" {
			return nil, status.Error(codes.PermissionDenied, "denied")
		}
		if want == Anyone {
			return ctx, nil
		}
		known, is, err := who(ctx)
		if err != nil {
			return nil, statusOf(err, inside)
		}
		if is != want {
			return nil, status.Errorf(codes.PermissionDenied, "this call is for the %s, not for %s", want, is)
		}
		return known, nil
	}
	unary := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := check(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		resp, err := next(ctx, req)
		return resp, statusOf(err, inside)
	}
	stream := func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := check(ss.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return statusOf(next(srv, &knownStream{ss, ctx}), inside)
	}
	return unary, stream
}

type knownStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *knownStream) Context() context.Context { return s.ctx }

type callerKey struct{}

func withCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

// caller is the verified name of who calls: a host's identity, or the operator's.
func caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}
