package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	operatorv1 "muster/proto/muster/operator/v1"
)

func (d *operatorDoor) CreatePageLogin(ctx context.Context, _ *operatorv1.CreatePageLoginRequest) (*operatorv1.CreatePageLoginResponse, error) {
	c := callerOf(ctx)
	login, err := d.core.CreatePageLogin(ctx, c.actor, coordinator.PageUser{
		Actor: c.actor.Name, Level: coordinator.Level(c.is), Operator: c.operator, Serial: c.serial,
	})
	if err != nil {
		return nil, err
	}
	return &operatorv1.CreatePageLoginResponse{Link: login.Link, Expires: timestamppb.New(login.Expires)}, nil
}
