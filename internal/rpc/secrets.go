package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	"muster/internal/manifest"
	"muster/internal/secrets"
	operatorv1 "muster/proto/muster/operator/v1"
)

func (d *operatorDoor) SetSecret(ctx context.Context, req *operatorv1.SetSecretRequest) (*operatorv1.SetSecretResponse, error) {
	state, changed, err := d.core.SetSecret(ctx, actor(ctx), req.Name, req.Value, secrets.Origin(req.Origin))
	if err != nil {
		return nil, err
	}
	return &operatorv1.SetSecretResponse{Secret: secretMessage(state), Changed: changed}, nil
}

func (d *operatorDoor) GenerateSecret(ctx context.Context, req *operatorv1.GenerateSecretRequest) (*operatorv1.GenerateSecretResponse, error) {
	state, err := d.core.GenerateSecret(ctx, actor(ctx), req.Name)
	if err != nil {
		return nil, err
	}
	return &operatorv1.GenerateSecretResponse{Secret: secretMessage(state)}, nil
}

func (d *operatorDoor) ListSecrets(ctx context.Context, _ *operatorv1.ListSecretsRequest) (*operatorv1.ListSecretsResponse, error) {
	list, err := d.core.Secrets(ctx)
	resp := &operatorv1.ListSecretsResponse{}
	for _, state := range list {
		resp.Secrets = append(resp.Secrets, secretMessage(state))
	}
	return resp, err
}

func (d *operatorDoor) RekeySecrets(ctx context.Context, _ *operatorv1.RekeySecretsRequest) (*operatorv1.RekeySecretsResponse, error) {
	n, err := d.core.RekeySecrets(ctx, actor(ctx))
	return &operatorv1.RekeySecretsResponse{Secrets: int32(n)}, err
}

func (d *operatorDoor) ExportSecrets(ctx context.Context, req *operatorv1.ExportSecretsRequest) (*operatorv1.ExportSecretsResponse, error) {
	file, err := d.core.ExportSecrets(ctx, actor(ctx), manifest.Role(req.Role), req.Host)
	return &operatorv1.ExportSecretsResponse{File: file}, err
}

func secretMessage(s coordinator.SecretState) *operatorv1.Secret {
	m := &operatorv1.Secret{
		Name: s.Declared.Name, Summary: s.Declared.Summary, Per: "cluster",
		Origin: string(s.Record.Origin), Actor: s.Record.Actor, Remedy: s.Remedy,
	}
	if s.Declared.PerHost {
		m.Per = "host"
	}
	for _, role := range s.Declared.Roles {
		m.Roles = append(m.Roles, string(role))
	}
	if !s.Record.Created.IsZero() {
		m.Created = timestamppb.New(s.Record.Created)
	}
	return m
}
