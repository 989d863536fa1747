package rpc

import (
	"context"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	operatorv1 "muster/proto/muster/operator/v1"
)

// NewOperatorServer is the door for the CLI, on a Unix socket.
func NewOperatorServer(core *coordinator.Service) (*grpc.Server, error) {
	unary, stream := authorize(core, error.Error)
	server := grpc.NewServer(
		grpc.Creds(peerCredentials{}),
		grpc.UnaryInterceptor(unary),
		grpc.StreamInterceptor(stream),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(64), // a push has 32 calls under way
		grpc.MaxHeaderListSize(16<<10),
		grpc.ConnectionTimeout(10*time.Second),
	)
	operatorv1.RegisterOperatorServiceServer(server, &operatorDoor{core: core})
	return server, Covered(server)
}

type operatorDoor struct {
	operatorv1.UnimplementedOperatorServiceServer
	core *coordinator.Service
}

func (d *operatorDoor) GetCluster(ctx context.Context, _ *operatorv1.GetClusterRequest) (*operatorv1.GetClusterResponse, error) {
	return d.core.ClusterState(ctx)
}

func (d *operatorDoor) ListHosts(_ context.Context, req *operatorv1.ListHostsRequest) (*operatorv1.ListHostsResponse, error) {
	return d.core.ListHosts(req.PageToken, int(req.PageSize)), nil
}

func (d *operatorDoor) GetHost(ctx context.Context, req *operatorv1.GetHostRequest) (*operatorv1.GetHostResponse, error) {
	host, err := d.core.Describe(req.Host)
	if err != nil {
		return nil, err
	}
	reports, err := d.core.Reports(ctx, hosts.ID(host.Id))
	return &operatorv1.GetHostResponse{Host: host, Reports: reports}, err
}

func (d *operatorDoor) WatchHosts(_ *operatorv1.WatchHostsRequest, stream operatorv1.OperatorService_WatchHostsServer) error {
	return d.core.Watch(stream.Context(), stream.Send)
}

func (d *operatorDoor) ListEvents(ctx context.Context, req *operatorv1.ListEventsRequest) (*operatorv1.ListEventsResponse, error) {
	limit := int(req.Limit)
	if limit <= 0 || limit > 10_000 {
		limit = 100
	}
	filter := coordinator.EventFilter{Kind: req.Kind, Actor: req.Actor}
	if req.Since != nil {
		filter.Since = req.Since.AsTime()
	}
	if req.Host != "" {
		id, err := d.core.Find(req.Host)
		if err != nil {
			return nil, err
		}
		filter.Host = id
	}
	events, err := d.core.Events(ctx, filter, limit)
	resp := &operatorv1.ListEventsResponse{}
	for _, e := range events {
		resp.Events = append(resp.Events, &operatorv1.Event{
			Time: timestamppb.New(e.Time), Kind: e.Kind, HostId: string(e.Host), Actor: e.Actor, From: e.From, Message: e.Message,
		})
	}
	return resp, err
}

func (d *operatorDoor) CreateToken(ctx context.Context, req *operatorv1.CreateTokenRequest) (*operatorv1.CreateTokenResponse, error) {
	spec, err := tokenSpec(req)
	if err != nil {
		return nil, err
	}
	token, record, err := d.core.CreateToken(ctx, actor(ctx), spec)
	if err != nil {
		return nil, err
	}
	return &operatorv1.CreateTokenResponse{Token: token.Reveal(), Record: tokenMessage(record)}, nil
}

func (d *operatorDoor) ListTokens(ctx context.Context, _ *operatorv1.ListTokensRequest) (*operatorv1.ListTokensResponse, error) {
	records, err := d.core.Tokens(ctx)
	resp := &operatorv1.ListTokensResponse{}
	for _, r := range records {
		resp.Tokens = append(resp.Tokens, tokenMessage(r))
	}
	return resp, err
}

func (d *operatorDoor) RevokeToken(ctx context.Context, req *operatorv1.RevokeTokenRequest) (*operatorv1.RevokeTokenResponse, error) {
	return &operatorv1.RevokeTokenResponse{}, d.core.RevokeToken(ctx, actor(ctx), identity.TokenID(req.Id))
}

func (d *operatorDoor) CreateSeed(ctx context.Context, req *operatorv1.CreateSeedRequest) (*operatorv1.CreateSeedResponse, error) {
	if by := req.Aws; by != nil {
		if req.Token != nil || req.ExistingToken != "" {
			return nil, fault.New(fault.Invalid, "ask for one of them", "a seed carries a token or the name of a policy, not both")
		}
		made, err := d.core.CreateAWSSeed(by.Policy, manifest.Role(by.Role))
		if err != nil {
			return nil, err
		}
		text, err := made.Encode()
		return &operatorv1.CreateSeedResponse{Seed: text}, err
	}
	if text := req.ExistingToken; text != "" {
		if req.Token != nil {
			return nil, fault.New(fault.Invalid, "ask for one of them", "a seed carries a new token or one that there is, not both")
		}
		made, id, err := d.core.SeedFor(ctx, text)
		if err != nil {
			return nil, err
		}
		text, err := made.Encode()
		return &operatorv1.CreateSeedResponse{Seed: text, TokenId: string(id)}, err
	}
	spec, err := tokenSpec(req.Token)
	if err != nil {
		return nil, err
	}
	made, record, err := d.core.CreateSeed(ctx, actor(ctx), spec)
	if err != nil {
		return nil, err
	}
	text, err := made.Encode()
	return &operatorv1.CreateSeedResponse{Seed: text, TokenId: string(record.ID)}, err
}

func (d *operatorDoor) ReadmitInstance(ctx context.Context, req *operatorv1.ReadmitInstanceRequest) (*operatorv1.ReadmitInstanceResponse, error) {
	return &operatorv1.ReadmitInstanceResponse{}, d.core.Readmit(ctx, actor(ctx), req.Account, req.Instance)
}

func (d *operatorDoor) RecordPush(ctx context.Context, req *operatorv1.RecordPushRequest) (*operatorv1.RecordPushResponse, error) {
	return &operatorv1.RecordPushResponse{}, d.core.RecordPush(ctx, actor(ctx), coordinator.Push{
		Target: req.Target, Role: req.Role, OK: req.Ok, Class: req.ErrorClass, Message: req.Message, Remedy: req.Remedy, Token: req.TokenId, HostKey: req.HostKey,
		Labels: req.Labels,
	})
}

func (d *operatorDoor) AssignHost(ctx context.Context, req *operatorv1.AssignHostRequest) (*operatorv1.AssignHostResponse, error) {
	id, err := d.core.Assign(ctx, actor(ctx), req.Host, manifest.Role(req.Role))
	if err != nil {
		return nil, err
	}
	host, err := d.core.Describe(string(id))
	return &operatorv1.AssignHostResponse{Host: host}, err
}

func (d *operatorDoor) RetryHost(ctx context.Context, req *operatorv1.RetryHostRequest) (*operatorv1.RetryHostResponse, error) {
	id, err := d.core.Retry(ctx, actor(ctx), req.Host)
	if err != nil {
		return nil, err
	}
	host, err := d.core.Describe(string(id))
	return &operatorv1.RetryHostResponse{Host: host}, err
}

func (d *operatorDoor) ReplaceHost(ctx context.Context, req *operatorv1.ReplaceHostRequest) (*operatorv1.ReplaceHostResponse, error) {
	done, err := d.core.Replace(ctx, actor(ctx), req.Host, req.By)
	if err != nil {
		return nil, err
	}
	host, err := d.core.Describe(string(done.Spare))
	return &operatorv1.ReplaceHostResponse{Host: host, Left: done.Left}, err
}

func (d *operatorDoor) RemoveHost(ctx context.Context, req *operatorv1.RemoveHostRequest) (*operatorv1.RemoveHostResponse, error) {
	return &operatorv1.RemoveHostResponse{}, d.core.Remove(ctx, actor(ctx), req.Host)
}

func tokenSpec(req *operatorv1.CreateTokenRequest) (identity.TokenSpec, error) {
	spec := identity.TokenSpec{
		Role: manifest.Role(req.GetRole()), Host: req.GetHost(), MaxUses: int(req.GetUses()), TTL: req.GetTtl().AsDuration(),
		Labels: req.GetLabels(),
	}
	for _, text := range req.GetCidrs() {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return spec, fault.New(fault.Invalid, "write it as address/bits, such as 10.0.0.0/16", "%.64q is not a network", text)
		}
		spec.CIDRs = append(spec.CIDRs, prefix)
	}
	return spec, nil
}

func tokenMessage(r identity.TokenRecord) *operatorv1.Token {
	m := &operatorv1.Token{
		Id: string(r.ID), Role: string(r.Role), Uses: int32(r.Uses), MaxUses: int32(r.MaxUses),
		Created: timestamppb.New(r.Created), Expires: timestamppb.New(r.Expires), Host: r.Host,
	}
	for _, p := range r.CIDRs {
		m.Cidrs = append(m.Cidrs, p.String())
	}
	return m
}
