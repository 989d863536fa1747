package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"muster/internal/artifacts"
	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/rpc"
	"muster/internal/store"
	"muster/internal/web"
)

func serveCommand() *cobra.Command {
	var genconf, httpListen, grpcListen, pageListen string
	var keep int
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve artifacts, enrol hosts, assign roles and collect reports",
		Long: `serve takes the output of genconf over into its state directory and serves it: artifacts over HTTP, hosts over gRPC with
TLS, the operator's commands over a Unix socket. All that it has acknowledged is in the state directory: it can be killed
and started again at any time.

A generation with signing in its cluster.yaml is served only when enough of the keys have signed it, it has not expired, and
its version is not lower than one that was served before. From then on the same keys decide what is served, also who
follows them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), slog.New(slog.NewTextHandler(os.Stderr, nil)), serveOptions{
				genconf: genconf, state: statePath(cmd, ""), httpListen: httpListen, grpcListen: grpcListen, keep: keep,
				pageListen: pageListen, pageNamed: cmd.Flags().Changed("listen-page"),
			})
		},
	}
	cmd.Flags().StringVar(&genconf, "genconf", "genconf", "the output directory of genconf")
	cmd.Flags().StringVar(&httpListen, "listen-http", "", "address to serve artifacts on (default: all, coordinator.http_port)")
	cmd.Flags().StringVar(&grpcListen, "listen-grpc", "", "address to serve hosts on (default: all, coordinator.grpc_port)")
	cmd.Flags().StringVar(&pageListen, "listen-page", defaultPage, "address of the operator's page, see coordinator page --help; off for none")
	cmd.Flags().IntVar(&keep, "keep", defaultKeep, "how many generations that were served before stay")
	return cmd
}

type serveOptions struct {
	genconf, state, httpListen, grpcListen, pageListen string
	pageNamed                                          bool
	keep                                               int
}

// shutdownGrace is how long calls under way may take to end.
const shutdownGrace = 3 * time.Second

func serve(ctx context.Context, log *slog.Logger, o serveOptions) (err error) {
	kept, err := openState(o.state)
	if errors.Is(err, store.ErrLocked) {
		return fault.New(fault.Conflict, "stop the other coordinator, or use another --state", "a coordinator already runs on this state").Because(err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()

	served := filepath.Join(o.state, "artifacts")
	if err := admit(ctx, log, o, served); err != nil {
		if errors.Is(err, fault.Denied) || errors.Is(err, fault.Conflict) {
			err = errors.Join(err, coordinator.GenerationRefused(ctx, kept, err.Error()))
		}
		return err
	}
	generation, manifests, err := artifacts.Load(served)
	if err != nil {
		return err
	}
	core, ca, err := openCore(ctx, o.state, coordinator.Options{Store: kept, Generation: generation, Manifests: manifests, Log: log})
	if err != nil {
		return err
	}
	if err := core.Serving(ctx); err != nil {
		return err
	}
	if err := warnOfSecrets(ctx, log, core); err != nil {
		return err
	}
	certificates, err := ca.ServerCertificates(generation.Coordinator.Addresses, time.Now)
	if err != nil {
		return err
	}
	hostServer, err := rpc.NewHostServer(core, ca.ServerTLS(certificates))
	if err != nil {
		return err
	}
	operatorServer, err := rpc.NewOperatorServer(core)
	if err != nil {
		return err
	}
	httpServer := web.NewServer(web.Artifacts(served, agentDigests(generation)...))

	httpListener, err := listen(o.httpListen, generation.Coordinator.HTTPPort, "listen-http", "coordinator.http_port")
	if err != nil {
		return err
	}
	grpcListener, err := listen(o.grpcListen, generation.Coordinator.GRPCPort, "listen-grpc", "coordinator.grpc_port")
	if err != nil {
		return errors.Join(err, httpListener.Close())
	}
	operatorListener, err := rpc.ListenOperator(filepath.Join(o.state, socketName))
	if err != nil {
		return errors.Join(err, httpListener.Close(), grpcListener.Close())
	}

	collectEarly()
	hosts, downloads, err := connections()
	if err != nil {
		return errors.Join(err, httpListener.Close(), grpcListener.Close(), operatorListener.Close())
	}

	page, err := openPage(log, core, o.pageListen, o.pageNamed)
	if err != nil {
		return errors.Join(err, httpListener.Close(), grpcListener.Close(), operatorListener.Close())
	}

	log.Info("serving", "cluster", generation.Cluster, "config", generation.ConfigID[:12],
		"artifacts", httpListener.Addr(), "hosts", grpcListener.Addr(), "operator", operatorListener.Addr(), "page", page)
	group, ctx := errgroup.WithContext(ctx)
	doors := map[string]net.Listener{"artifacts": web.Bounded(httpListener, downloads), "hosts": rpc.Bounded(grpcListener, hosts)}
	group.Go(func() error { return web.Serve(httpServer, doors["artifacts"]) })
	group.Go(func() error { return hostServer.Serve(doors["hosts"]) })
	group.Go(func() error { return tellOfCrowds(ctx, log, time.Minute, doors) })
	group.Go(func() error { return operatorServer.Serve(operatorListener) })
	if page != nil {
		group.Go(func() error { return web.Serve(page.server, page.listener) })
	}
	group.Go(func() error {
		return prune(ctx, log, core, pruneEvery, func() {
			core.Tend()
			pruneArtifacts(ctx, log, core, served, o.keep)
		})
	})
	group.Go(func() error {
		<-ctx.Done()
		log.Info("stopping")
		grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		for _, server := range []*grpc.Server{hostServer, operatorServer} {
			stopGracefully(grace, server)
		}
		if page != nil {
			defer page.server.Close()
		}
		return httpServer.Shutdown(grace)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

const pruneEvery = time.Hour

// prune keeps the store and the artifacts within their bounds. What fails is tried again: hosts are served meanwhile.
func prune(ctx context.Context, log *slog.Logger, core interface{ Prune(context.Context) error }, every time.Duration, artifacts func()) error {
	artifacts()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := core.Prune(ctx); err != nil {
				log.Error("the store was not pruned", "error", err)
			}
			artifacts()
		}
	}
}

func stopGracefully(ctx context.Context, server *grpc.Server) {
	done := make(chan struct{})
	go func() { server.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		server.Stop()
	}
}

func agentDigests(g *manifest.Generation) (all []manifest.Digest) {
	for _, b := range g.Agents {
		all = append(all, b.Digest)
	}
	return all
}

func listen(address string, port int, flag, key string) (net.Listener, error) {
	if address == "" {
		address = net.JoinHostPort("", strconv.Itoa(port))
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fault.New(fault.Unavailable, fmt.Sprintf("free the port, or choose another (%s in cluster.yaml, or --%s)", key, flag),
			"cannot listen on %s", address).Because(err)
	}
	return l, nil
}
