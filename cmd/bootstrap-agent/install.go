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
	secrets := flags.String("secrets", "", "the file of the role's secrets, from coordinator secret export")
	var signing manifest.Signing
	cluster := flags.String("cluster", "", "with --key: the cluster that the manifest must be signed for")
	flags.StringVar(&signing.ID, "cluster-id", "", "with --key: the cluster's id")
	flags.Var((*list)(&signing.Keys), "key", "public key whose signature counts; may be repeated")
	flags.IntVar(&signing.Threshold, "threshold", 0, "with --key: how many of the keys must have signed")
	flags.Var(&sources, "source", "where the blobs are; may be repeated")
	if flags.Parse(args) != nil || flags.NArg() > 0 || *role == "" || len(sources) == 0 || *preflightOnly && *skipPreflight {
		return errUsage
	}
	static := agent.Static{
		Role: manifest.Role(*role), Manifest: manifest.Blob{Digest: manifest.Digest(*digest), Size: *size}, Sources: sources,
		PreflightOnly: *preflightOnly, SkipPreflight: *skipPreflight, Secrets: *secrets, Out: os.Stdout,
	}
	// Any of them asks for a signature, so that losing one cannot switch it off.
	if *cluster+signing.ID != "" || len(signing.Keys) > 0 || signing.Threshold != 0 {
		static.Cluster, static.Signing = *cluster, &signing
	}
	return agent.InstallStatic(ctx, agent.Layout{}, static)
}
