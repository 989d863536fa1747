package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"muster/internal/durable"
)

// uninstall leaves the file system as it was before, the data aside unless purge is set.
func uninstall(ctx context.Context, l Layout, cluster string, purge bool) error {
	units, err := ownUnits(l, cluster)
	if err != nil {
		return err
	}
	s := systemd{}
	if len(units) > 0 && exists(l.systemd()) {
		if err := s.stop(ctx, units...); err != nil {
			return systemdFault(err)
		}
		if err := s.disable(ctx, cluster+".target"); err != nil {
			return systemdFault(err)
		}
	}
	for _, name := range units {
		if err := os.Remove(l.units(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return localFault(err)
		}
	}
	if len(units) > 0 && exists(l.systemd()) {
		if err := s.reload(ctx); err != nil {
			return systemdFault(err)
		}
		s.resetFailed(ctx, units...)
	}
	if err := durable.RemoveAll(l.Home(cluster)); err != nil {
		return localFault(err)
	}
	if purge {
		if err := durable.RemoveAll(l.data(cluster)); err != nil {
			return localFault(err)
		}
	}
	return nil
}

// Uninstall removes a cluster's installation from this host, and the bootstrap agent if it is still there.
func Uninstall(ctx context.Context, l Layout, cluster string, purge bool) error {
	return uninstall(ctx, l, cluster, purge)
}
