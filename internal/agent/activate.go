package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/durable"
	"muster/internal/fault"
)

// activate switches the installation to the plan's generation by one atomic rename and brings its units into place.
func (i *installation) activate(ctx context.Context) (string, error) {
	id := i.plan.generationID(i.manifest)
	// Before there is a unit that could start.
	if err := i.layout.guard(i.cluster); err != nil {
		return "", localFault(err)
	}
	if err := i.writeUnits(ctx, id); err != nil {
		return "", localFault(err)
	}
	if err := durable.Symlink(filepath.Join("generations", id), i.layout.current(i.cluster)); err != nil {
		return "", localFault(err)
	}
	if err := i.keepVersion(); err != nil {
		return "", err
	}
	if err := i.systemd.reload(ctx); err != nil {
		return "", systemdFault(err)
	}
	return "generation " + id, nil
}

func systemdFault(err error) error {
	return fault.New(fault.Unavailable, "look at systemd on this host (systemctl status, journalctl -b), then: coordinator hosts retry",
		"the service manager").Because(err)
}

// unitNames are the units of the role, without the target.
func (i *installation) unitNames() []string {
	var names []string
	for _, u := range i.manifest.Units {
		if u.Name != i.target() {
			names = append(names, u.Name)
		}
	}
	return names
}

func (i *installation) target() string { return i.cluster + ".target" }

// writeUnits puts the role's units into place and takes away those of an earlier generation that it no longer has.
func (i *installation) writeUnits(ctx context.Context, generation string) error {
	present, err := ownUnits(i.layout, i.cluster)
	if err != nil {
		return err
	}
	keep := make(map[string]bool)
	for _, u := range i.manifest.Units {
		if !ownUnit(i.cluster, u.Name) {
			return fault.New(fault.Invalid, "run coordinator genconf again", "unit %q does not belong to cluster %s", u.Name, i.cluster)
		}
		if !filepath.IsLocal(u.Path) {
			return fault.New(fault.Invalid, "run coordinator genconf again", "unit path %q is outside of the generation", u.Path)
		}
		if exists(i.layout.units(u.Name)) && !slices.Contains(present, u.Name) {
			return fault.New(fault.Conflict, "give the cluster or the unit another name, or remove "+i.layout.units(u.Name)+" if nothing needs it",
				"unit %s is on this host already and not of cluster %s", u.Name, i.cluster)
		}
		keep[u.Name] = true
	}
	for _, u := range i.manifest.Units {
		text, err := os.ReadFile(filepath.Join(i.layout.generation(i.cluster, generation), u.Path))
		if err != nil {
			return err
		}
		path := i.layout.units(u.Name)
		if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
			continue
		}
		if err := durable.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	gone := slices.DeleteFunc(present, func(name string) bool { return keep[name] })
	if len(gone) > 0 {
		if err := i.systemd.stop(ctx, gone...); err != nil {
			return systemdFault(err)
		}
	}
	for _, name := range gone {
		if err := remove(i.layout.units(name)); err != nil {
			return err
		}
	}
	return durable.SyncDir(i.layout.units())
}

// ownUnit says whether a unit's name is one that an installation of the cluster may make.
func ownUnit(cluster, name string) bool {
	if name != filepath.Base(name) || strings.ContainsAny(name, "/\x00") {
		return false
	}
	return name == cluster+".target" || strings.HasPrefix(name, cluster+"-") && strings.HasSuffix(name, ".service")
}

// ownUnits lists the units of a cluster that are on this host. A name with the cluster's prefix may belong to a cluster
// whose name begins the same, so the text decides too: ours names our installation or is one of our generations'.
func ownUnits(l Layout, cluster string) ([]string, error) {
	entries, err := os.ReadDir(l.units())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !ownUnit(cluster, e.Name()) {
			continue
		}
		text, err := os.ReadFile(l.units(e.Name()))
		if err != nil {
			return nil, err
		}
		if e.Name() == cluster+".target" || bytes.Contains(text, []byte("/opt/"+cluster+"/")) || generated(l, cluster, e.Name(), text) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// generated says whether a generation of the cluster on this host has the unit with this text.
func generated(l Layout, cluster, name string, text []byte) bool {
	generations, err := os.ReadDir(l.at("opt", cluster, "generations"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(generations, func(e fs.DirEntry) bool {
		have, err := os.ReadFile(filepath.Join(l.generation(cluster, e.Name()), "units", name))
		return err == nil && bytes.Equal(have, text)
	})
}
