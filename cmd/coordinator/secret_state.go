package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/coordinator"
	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/identity"
	"muster/internal/rpc"
	"muster/internal/secrets"
	"muster/internal/store"
	operatorv1 "muster/proto/muster/operator/v1"
)

// secretsKey is the key of the secrets, in the state directory.
const secretsKey = "secrets.key"

// warnOfSecrets logs what hosts will wait for.
func warnOfSecrets(ctx context.Context, log *slog.Logger, core *coordinator.Service) error {
	list, err := core.Secrets(ctx)
	for _, state := range list {
		if state.Remedy != "" {
			log.Warn("a secret has no value; hosts that use it will wait", "secret", state.Declared.Name, "remedy", state.Remedy)
		}
	}
	return err
}

// withOperator hands f the running coordinator. Where none runs, as before the first start or for hosts that install
// without one, it is one for the length of f that nobody but this user reaches.
func withOperator(cmd *cobra.Command, genconf string, f func(operatorv1.OperatorServiceClient) error) (err error) {
	if elsewhere, remoteErr := remoteOf(cmd); remoteErr != nil {
		return remoteErr
	} else if elsewhere != nil {
		if genconf != "" && cmd.Flags().Changed("genconf") {
			return usageError(errors.New("--genconf is for a coordinator that does not run: leave it out with --coordinator"))
		}
	} else if conn, dialErr := net.DialTimeout("unix", statePath(cmd, socketName), time.Second); dialErr == nil {
		_ = conn.Close()
	} else {
		stop, startErr := startBriefly(cmd.Context(), statePath(cmd, ""), genconf)
		if startErr != nil {
			return startErr
		}
		defer func() {
			// What f says stays as it is: it has its remedy inside.
			if stopErr := stop(); err == nil {
				err = stopErr
			}
		}()
	}
	client, done, err := connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	return f(client)
}

// startBriefly opens the state as serve does, and lets in the operator alone.
func startBriefly(ctx context.Context, state, genconf string) (stop func() error, err error) {
	// The generation that was made last, or else the one that was served last; nothing is taken over.
	generation, manifests, err := artifacts.Load(genconf)
	if errors.Is(err, fault.NotFound) {
		generation, manifests, err = artifacts.Load(filepath.Join(state, "artifacts"))
	}
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "run coordinator genconf first, or name its output with --genconf",
			"no coordinator runs here, and there is no generation in %s that says which secrets there are", genconf)
	}
	if err != nil {
		return nil, err
	}
	kept, err := openState(state)
	if errors.Is(err, store.ErrLocked) {
		return nil, fault.New(fault.Conflict, "try again in a moment; if a coordinator hangs, end it first",
			"a coordinator has the state in %s and does not answer", state).Because(err)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, kept.Close())
		}
	}()
	core, _, err := openCore(ctx, state, coordinator.Options{Store: kept, Generation: generation, Manifests: manifests})
	if err != nil {
		return nil, err
	}
	server, err := rpc.NewOperatorServer(core)
	if err != nil {
		return nil, err
	}
	listener, err := rpc.ListenOperator(filepath.Join(state, socketName))
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		server.Stop()
		return errors.Join(<-ended, kept.Close())
	}, nil
}

// openState opens the store of a state directory, which it makes. While another has it, the error is store.ErrLocked.
func openState(state string) (store.Store, error) {
	if err := durable.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	if err := checkState(state); err != nil {
		return nil, err
	}
	return store.OpenBolt(filepath.Join(state, "store.db"))
}

// openCore makes the coordinator of an open state: o, with the state's CA and vault in it.
func openCore(ctx context.Context, state string, o coordinator.Options) (*coordinator.Service, *identity.CA, error) {
	ca, err := identity.Open(filepath.Join(state, "ca"), o.Generation.Cluster, time.Now())
	if err != nil {
		return nil, nil, err
	}
	vault, err := secrets.Open(ctx, filepath.Join(state, secretsKey), o.Store)
	if err != nil {
		return nil, nil, err
	}
	o.CA, o.Vault = ca, vault
	core, err := coordinator.New(ctx, o)
	return core, ca, err
}

func secretResetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "reset --yes",
		Short: "Forget every value and the key: the last resort when the key is lost",
		Long: `Forgets the values of all secrets and makes a new key. The coordinator must not run. The next start generates those that
are generated, with values other than before; the others have to be set again. Hosts that are done keep what they have.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return usageError(errors.New("this forgets every value; say --yes if that is meant"))
			}
			state := statePath(cmd, "")
			if _, err := os.Stat(filepath.Join(state, "store.db")); err != nil {
				return fault.New(fault.NotFound, "name the coordinator's state directory with --state", "there is no state in %s", state)
			}
			kept, err := openState(state)
			if err != nil {
				return err
			}
			n, err := secrets.Reset(cmd.Context(), filepath.Join(state, secretsKey), kept)
			if err = errors.Join(err, kept.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d secrets were forgotten\n", n)
			return err
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "forget every value")
	return c
}
