package agent

import (
	"context"
	"path/filepath"
	"strings"

	"muster/internal/durable"
)

// goBack lets the generation before go on, after this one did not start: what changed were late values alone, and with the
// old ones it ran. It says whether there is such a generation.
func (i *installation) goBack(ctx context.Context) (bool, error) {
	if !strings.HasPrefix(i.before, string(i.manifest.ConfigID[:12])+"-") || !exists(i.layout.generation(i.cluster, i.before)) {
		return false, nil
	}
	units, err := i.changedUnits(i.unitNames(), i.before)
	if err != nil {
		return true, localFault(err)
	}
	if err := i.writeUnits(ctx, i.before); err != nil {
		return true, localFault(err)
	}
	if err := durable.Symlink(filepath.Join("generations", i.before), i.layout.current(i.cluster)); err != nil {
		return true, localFault(err)
	}
	if err := i.systemd.reload(ctx); err != nil {
		return true, systemdFault(err)
	}
	i.systemd.resetFailed(ctx, units...)
	if len(units) > 0 {
		if err := i.systemd.begin(ctx, "restart", units...); err != nil {
			return true, systemdFault(err)
		}
	}
	if err := i.noteStarted(i.before, ""); err != nil {
		return true, localFault(err)
	}
	return true, nil
}
