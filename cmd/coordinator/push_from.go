package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"muster/internal/artifacts"
	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/fetch"
	"muster/internal/manifest"
	"muster/internal/seed/script"
	operatorv1 "muster/proto/muster/operator/v1"
)

// pushMaterial is what a push needs beside the seeds: what cluster.yaml says about it, the agents' files, and where hosts
// can fetch them.
type pushMaterial struct {
	generation *manifest.Generation // its Hosts, SSH and Agents
	agentPath  func(manifest.Blob) string
	sources    []string
}

// materialHere takes it from the state of the coordinator on this machine.
func materialHere(cmd *cobra.Command) (pushMaterial, error) {
	dir := statePath(cmd, "artifacts")
	generation, _, err := artifacts.Load(dir)
	if err != nil {
		return pushMaterial{}, fault.New(fault.Unavailable, "start it with: coordinator serve; or name its state directory with --state; from another machine: --coordinator HOST:PORT",
			"no coordinator has served from %s yet", statePath(cmd, "")).Because(err)
	}
	sources, err := script.Sources(generation)
	if err != nil {
		return pushMaterial{}, err
	}
	return pushMaterial{generation, func(b manifest.Blob) string { return filepath.Join(dir, manifest.BlobPath(b.Digest)) }, sources}, nil
}

// agentsTimeout bounds the fetch of the agents, agentsPatience how long it may bring nothing.
const (
	agentsTimeout  = 10 * time.Minute
	agentsPatience = 20 * time.Second
)

// materialThere asks the coordinator for it. The agents come over HTTP as they do to hosts; their digests come from the
// coordinator, so nobody on the way can exchange them. They are kept for the next push.
func materialThere(ctx context.Context, client operatorv1.OperatorServiceClient) (m pushMaterial, err error) {
	needs, err := client.GetPush(ctx, &operatorv1.GetPushRequest{})
	if err != nil {
		return m, err
	}
	m.generation = &manifest.Generation{
		SSH: manifest.SSH{User: needs.SshUser, Port: int(needs.SshPort)}, Agents: make(map[manifest.Arch]manifest.Blob),
	}
	for _, l := range needs.Hosts {
		m.generation.Hosts = append(m.generation.Hosts, manifest.Listed{Name: l.Name, Address: l.Address, CIDR: l.Cidr, Role: manifest.Role(l.Role)})
	}
	dir, err := cacheDir()
	if err != nil {
		return m, err
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return m, err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return m, err
	}
	defer unlock()
	f, err := fetch.New(fetch.Options{Sources: needs.Sources, GiveUpAfter: agentsPatience})
	if err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, agentsTimeout)
	defer cancel()
	for arch, a := range needs.Agents {
		blob := manifest.Blob{Digest: manifest.Digest(a.Digest), Size: a.Size}
		if _, err := f.Fetch(ctx, blob, dir, nil); err != nil {
			return m, fault.New(fault.Unavailable, "check that coordinator.http_port can be reached from here, or push from the coordinator's machine",
				"the bootstrap agent for %.16q could not be fetched from the coordinator", arch).Because(err)
		}
		m.generation.Agents[manifest.Arch(arch)] = blob
	}
	m.sources = needs.Sources
	m.agentPath = func(b manifest.Blob) string { return filepath.Join(dir, string(b.Digest)) }
	return m, nil
}

// lockDir keeps two pushes from fetching into one directory.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
