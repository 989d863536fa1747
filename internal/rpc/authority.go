package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
)

func (d *operatorDoor) GetAuthority(ctx context.Context, _ *operatorv1.GetAuthorityRequest) (*operatorv1.GetAuthorityResponse, error) {
	a, err := d.core.Authority(ctx)
	if err != nil {
		return nil, err
	}
	resp := &operatorv1.GetAuthorityResponse{RootKey: a.RootKey}
	for _, c := range a.Certificates {
		resp.Certificates = append(resp.Certificates, &operatorv1.Authority{
			Name: c.Name, Fingerprint: c.Fingerprint, NotBefore: timestamppb.New(c.NotBefore), NotAfter: timestamppb.New(c.NotAfter), Ending: c.Ending,
		})
	}
	if r := a.Rotation; r != nil {
		resp.Rotation = &operatorv1.Rotation{
			Started: timestamppb.New(r.Started), Intermediates: r.Intermediates,
			Moved: int64(r.Moved), Behind: int64(len(r.Behind)), BehindNames: r.Behind[:min(len(r.Behind), maxNamed)],
			Tokens: int32(r.Tokens), Operators: r.Operators, ForceFrom: timestamppb.New(r.ForceFrom),
		}
		if r.Tokens > 0 {
			resp.Rotation.TokensUntil = timestamppb.New(r.TokensUntil)
		}
	}
	return resp, nil
}

// maxNamed is how many hosts an answer names.
const maxNamed = 100

func (d *operatorDoor) RotateAuthority(ctx context.Context, req *operatorv1.RotateAuthorityRequest) (*operatorv1.RotateAuthorityResponse, error) {
	return &operatorv1.RotateAuthorityResponse{}, d.core.RotateAuthority(ctx, actor(ctx), req.Intermediates)
}

func (d *operatorDoor) FinishAuthority(ctx context.Context, req *operatorv1.FinishAuthorityRequest) (*operatorv1.FinishAuthorityResponse, error) {
	return &operatorv1.FinishAuthorityResponse{}, d.core.FinishAuthority(ctx, actor(ctx), req.Force)
}

func (d *operatorDoor) ReleaseHost(ctx context.Context, req *operatorv1.ReleaseHostRequest) (*operatorv1.ReleaseHostResponse, error) {
	id, err := d.core.Release(ctx, actor(ctx), req.Host)
	if err != nil {
		return nil, err
	}
	host, err := d.core.Describe(string(id))
	return &operatorv1.ReleaseHostResponse{Host: host}, err
}
