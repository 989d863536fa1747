package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	"muster/internal/identity"
	operatorv1 "muster/proto/muster/operator/v1"
)

func (d *operatorDoor) CreateOperator(ctx context.Context, req *operatorv1.CreateOperatorRequest) (*operatorv1.CreateOperatorResponse, error) {
	csr, err := identity.CheckCSR(req.Csr)
	if err != nil {
		return nil, err
	}
	c, err := d.core.CreateOperator(ctx, actor(ctx), csr, req.Name, coordinator.Level(req.Level), req.GetTtl().AsDuration())
	if err != nil {
		return nil, err
	}
	return &operatorv1.CreateOperatorResponse{
		Operator: operatorMessage(c.Record), Chain: c.Chain, Root: c.Root, Cluster: d.core.Cluster(), Coordinators: c.Coordinators,
	}, nil
}

func (d *operatorDoor) ListOperators(ctx context.Context, _ *operatorv1.ListOperatorsRequest) (*operatorv1.ListOperatorsResponse, error) {
	records, err := d.core.Operators(ctx)
	resp := &operatorv1.ListOperatorsResponse{}
	for _, r := range records {
		resp.Operators = append(resp.Operators, operatorMessage(r))
	}
	return resp, err
}

func (d *operatorDoor) RevokeOperator(ctx context.Context, req *operatorv1.RevokeOperatorRequest) (*operatorv1.RevokeOperatorResponse, error) {
	return &operatorv1.RevokeOperatorResponse{}, d.core.RevokeOperator(ctx, actor(ctx), req.Name)
}

func (d *operatorDoor) GetPush(context.Context, *operatorv1.GetPushRequest) (*operatorv1.GetPushResponse, error) {
	return d.core.PushNeeds(), nil
}

func operatorMessage(r coordinator.OperatorRecord) *operatorv1.Operator {
	m := &operatorv1.Operator{
		Name: r.Name, Level: string(r.Level), Serial: r.Serial, Actor: r.Actor,
		Created: timestamppb.New(r.Created), Expires: timestamppb.New(r.Expires),
	}
	if !r.Revoked.IsZero() {
		m.Revoked = timestamppb.New(r.Revoked)
	}
	return m
}
