package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"muster/internal/durable"
	"muster/internal/fault"
)

// uninstall leaves the file system as it was before, the data aside unless purge is set.
func uninstall(ctx context.Context, l Layout, cluster string, purge bool) error {
	units, err := ownUnits(l, cluster)
	if err != nil {
		return err
	}
	s := systemd{l}
	if len(units) > 0 && exists(l.systemd()) {
		if err := s.stop(ctx, units...); err != nil {
			return systemdFault(err)
		}
		if target := cluster + ".target"; slices.Contains(units, target) {
			if err := s.disable(ctx, target); err != nil {
				return systemdFault(err)
			}
		}
	}
	for _, name := range units {
		if err := os.Remove(l.units(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return localFault(err)
		}
	}
	if err := l.unguard(cluster); err != nil {
		return localFault(err)
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
	for _, dir := range []string{filepath.Dir(l.Home(cluster)), filepath.Dir(l.data(cluster)), l.units()} {
		if err := durable.CleanTemp(dir); err != nil {
			return localFault(err)
		}
	}
	return nil
}

// Uninstall removes a cluster's installation from this host, and the bootstrap agent if it is still there.
func Uninstall(ctx context.Context, l Layout, cluster string, purge bool) error {
	if !clusterName.MatchString(cluster) {
		return fault.New(fault.Invalid, "give the name as it is in cluster.yaml", "%q is not the name of a cluster", cluster)
	}
	if os.Geteuid() != 0 {
		return fault.New(fault.Denied, "run it as root (sudo)", "uninstalling needs root")
	}
	other, err := otherCluster(l, cluster)
	if err != nil {
		return err
	}
	if other == "" && exists(l.unit()) && exists(l.systemd()) {
		// It would go on installing.
		if err := (systemd{l}).stop(ctx, UnitName); err != nil {
			return systemdFault(err)
		}
	}
	if err := uninstall(ctx, l, cluster, purge); err != nil || other != "" {
		return err
	}
	if err := leave(ctx, l, slog.New(slog.DiscardHandler)); err != nil {
		return localFault(err)
	}
	return nil
}

// clusterName is the only kind of name that is ever put into a path.
var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
