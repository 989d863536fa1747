package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"muster/internal/durable"
)

// leave removes the bootstrap agent from the host. The seed goes first: from then on a start of the agent means to leave,
// so a crash at any point is finished by the next start. The program goes last but for its unit, and a unit without its
// program clears itself away.
func leave(ctx context.Context, l Layout, log *slog.Logger) error {
	if err := remove(l.seed()); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.State())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if path := filepath.Join(l.State(), e.Name()); path != l.binary() {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	for _, path := range []string{l.binary(), l.State(), l.wanted(), l.unit()} {
		if err := remove(path); err != nil {
			return err
		}
	}
	if err := durable.CleanTemp(l.units()); err != nil {
		return err
	}
	if exists(l.systemd()) {
		if err := (systemd{l}).reload(ctx); err != nil {
			return err
		}
	}
	log.Info("nothing more is wanted; the bootstrap agent has removed itself")
	return nil
}

// remove removes one file or empty directory durably; that it is not there is success.
func remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
