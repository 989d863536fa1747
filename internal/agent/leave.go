package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"muster/internal/durable"
)

// leave removes the bootstrap agent from the host: first what is secret, then its directory, its unit last, so that a
// crash in between is finished at the next start. The unit itself clears away what is left when the directory is gone.
func leave(ctx context.Context, l Layout, log *slog.Logger) error {
	for _, path := range []string{l.seed(), l.key(), l.blobs(), l.scratch()} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := durable.RemoveAll(l.State()); err != nil {
		return err
	}
	for _, path := range []string{l.wanted(), l.unit()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if exists(l.systemd()) {
		if err := (systemd{}).reload(ctx); err != nil {
			return err
		}
	}
	log.Info("the installation is complete; the bootstrap agent has removed itself")
	return nil
}
