package main

import (
	"context"
	"fmt"
	"os"

	"muster/internal/agent"
	"muster/internal/manifest"
)

type list []string

func (l *list) String() string { return fmt.Sprint(*l) }

func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

func install(ctx context.Context, args []string) error {
	flags := newFlags("install")
	var sources list
	role := flags.String("role", "", "the role to install")
	digest := flags.String("manifest", "", "SHA-256 of the role's manifest")
	size := flags.Int64("size", 0, "the manifest's size in bytes")
	preflightOnly := flags.Bool("preflight-only", false, "run the preflight checks and stop")
	skipPreflight := flags.Bool("skip-preflight", false, "install without the preflight checks")
	flags.Var(&sources, "source", "where the blobs are; may be repeated")
	if flags.Parse(args) != nil || flags.NArg() > 0 || *role == "" || len(sources) == 0 || *preflightOnly && *skipPreflight {
		return errUsage
	}
	return agent.InstallStatic(ctx, agent.Layout{}, agent.Static{
		Role: manifest.Role(*role), Manifest: manifest.Blob{Digest: manifest.Digest(*digest), Size: *size}, Sources: sources,
		PreflightOnly: *preflightOnly, SkipPreflight: *skipPreflight, Out: os.Stdout,
	})
}
