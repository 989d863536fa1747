// Package rpc is the gRPC front door: it says who calls, refuses who may not, and translates to the core. It holds no
// rule of its own but the authorisation table.
package rpc

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"muster/internal/coordinator"
	enrolmentv1 "muster/proto/muster/enrolment/v1"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// Identity is what a caller is. Each level of operators may do all that the one below may, and no host is one of them.
type Identity string

// The identities. Anyone is a connection that has shown nothing.
const (
	Anyone   Identity = "anyone"
	HostCert Identity = "host"
	Viewer   Identity = Identity(coordinator.Viewer)
	Operator Identity = Identity(coordinator.Operator)
	Admin    Identity = Identity(coordinator.Admin)
)

// Rule says who may call a method: For is the least identity, Condition what else must hold, in words. The core sees to
// the condition, in the transaction that the call is about.
type Rule struct {
	For       Identity
	Condition string
}

// Admits says whether a caller of this identity may call.
func (r Rule) Admits(is Identity) bool {
	return r.For == Anyone || r.For == is && is != "" || coordinator.Level(is).AtLeast(coordinator.Level(r.For))
}

const (
	newest  = "by a certificate that was neither replaced nor ended; acts on its own record only"
	byToken = "a join token that is known, not expired, not used up, for this address, or an identity document that a policy admits; " +
		"a proof of the key on this connection"
)

// Table says who may call which method, through whichever door. What is not in it is denied, and a server with such a
// method does not start. Callers on the Unix socket are admins when they are root or the coordinator's user, and else
// nobody; operators elsewhere are what the store says of them at this call.
var Table = map[string]Rule{
	enrolmentv1.EnrolmentService_Enroll_FullMethodName: {Anyone, byToken},

	syncv1.SyncService_Sync_FullMethodName:  {HostCert, newest},
	syncv1.SyncService_Renew_FullMethodName: {HostCert, newest},

	operatorv1.OperatorService_GetCluster_FullMethodName:   {Viewer, ""},
	operatorv1.OperatorService_ListHosts_FullMethodName:    {Viewer, ""},
	operatorv1.OperatorService_GetHost_FullMethodName:      {Viewer, ""},
	operatorv1.OperatorService_WatchHosts_FullMethodName:   {Viewer, "ends when the operator is revoked"},
	operatorv1.OperatorService_ListEvents_FullMethodName:   {Viewer, ""},
	operatorv1.OperatorService_ListTokens_FullMethodName:   {Viewer, "no token's text is kept"},
	operatorv1.OperatorService_ListSecrets_FullMethodName:  {Viewer, "no value is in the answer"},
	operatorv1.OperatorService_GetAuthority_FullMethodName: {Viewer, "no key is in the answer"},

	operatorv1.OperatorService_CreatePageLogin_FullMethodName: {Viewer, "for the caller's own right, to see"},

	operatorv1.OperatorService_CreateToken_FullMethodName: {Operator, ""},
	operatorv1.OperatorService_RevokeToken_FullMethodName: {Operator, ""},
	operatorv1.OperatorService_CreateSeed_FullMethodName:  {Operator, ""},
	operatorv1.OperatorService_GetPush_FullMethodName:     {Operator, ""},
	operatorv1.OperatorService_RecordPush_FullMethodName:  {Operator, ""},
	operatorv1.OperatorService_AssignHost_FullMethodName:  {Operator, "the host waits, and the role has a place"},
	operatorv1.OperatorService_RetryHost_FullMethodName:   {Operator, "the host has failed"},
	operatorv1.OperatorService_RemoveHost_FullMethodName:  {Operator, ""},
	operatorv1.OperatorService_ReleaseHost_FullMethodName: {Operator, "the host is in quarantine"},
	operatorv1.OperatorService_ReplaceHost_FullMethodName: {Operator, "the host is a member of a counted role, and another waits"},

	operatorv1.OperatorService_ReadmitInstance_FullMethodName: {Operator, "the host that it joined as was removed"},

	operatorv1.OperatorService_SetSecret_FullMethodName:       {Admin, "the bundle declares it"},
	operatorv1.OperatorService_GenerateSecret_FullMethodName:  {Admin, "the bundle declares it"},
	operatorv1.OperatorService_RekeySecrets_FullMethodName:    {Admin, ""},
	operatorv1.OperatorService_ExportSecrets_FullMethodName:   {Admin, "those of one role"},
	operatorv1.OperatorService_CreateOperator_FullMethodName:  {Admin, "the name is not in use"},
	operatorv1.OperatorService_ListOperators_FullMethodName:   {Admin, ""},
	operatorv1.OperatorService_RevokeOperator_FullMethodName:  {Admin, ""},
	operatorv1.OperatorService_RotateAuthority_FullMethodName: {Admin, ""},
	operatorv1.OperatorService_FinishAuthority_FullMethodName: {Admin, ""},
}

// Row is one line of the table as it is shown.
type Row struct {
	Service, Method string
	Rule
}

// Rows are the table, by service, then by who may call, the least first.
func Rows() []Row {
	order := []Identity{Anyone, HostCert, Viewer, Operator, Admin}
	var rows []Row
	for _, name := range slices.Sorted(maps.Keys(Table)) {
		service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		rows = append(rows, Row{Service: service[strings.LastIndexByte(service, '.')+1:], Method: method, Rule: Table[name]})
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), slices.Index(order, a.For)-slices.Index(order, b.For))
	})
	return rows
}

// Covered returns an error that names the methods of the server which the table does not have.
func Covered(server *grpc.Server) error {
	var missing []string
	for service, info := range server.GetServiceInfo() {
		for _, m := range info.Methods {
			if name := "/" + service + "/" + m.Name; Table[name].For == "" {
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
