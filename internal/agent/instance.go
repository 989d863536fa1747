package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/fault"
)

// An image that was made from a host holds all that was on it: an installation with its data, or a bootstrap agent with
// its key. Whoever boots the image is another machine. What tells the two apart is cloud-init's word for the instance,
// which it finds anew at each boot and keeps in this file; hosts without cloud-init have no such word.
func (l Layout) thisInstance() string { return l.at("var/lib/cloud/data/instance-id") }

// madeFor is where a directory says for which instance it was made.
func madeFor(dir string) string { return dir + "/instance" }

// instanceIn reads an instance's name; "" if there is none, or one that could not stand in a unit as it is.
func instanceIn(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	name := strings.TrimSpace(string(text))
	if err != nil || name == "" || len(name) > 128 || strings.Trim(name, instanceCharacters) != "" || name[0] == '-' {
		return ""
	}
	return name
}

const instanceCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"

// copied says whether a directory was made on another instance, and on which. Where one of the two has no name, nothing
// is known.
func (l Layout) copied(dir string) (was string, yes bool) {
	was, is := instanceIn(madeFor(dir)), instanceIn(l.thisInstance())
	return was, was != "" && is != "" && was != is
}

// claimFor writes down that a directory is this instance's.
func (l Layout) claimFor(dir string) error {
	is, path := instanceIn(l.thisInstance()), madeFor(dir)
	switch {
	case is == "":
		return remove(path)
	case is == instanceIn(path):
		return nil
	}
	return durable.WriteFile(path, []byte(is+"\n"), 0o644)
}

// guard keeps the units of an installation from starting on another instance than it was made for: two members of an
// ensemble with one identity can lose what the ensemble keeps. A name with a hyphen at its end is for all units that
// begin so (systemd.unit(5)); the plus is for units that may not see the file.
func (l Layout) guard(cluster string) error {
	is := instanceIn(madeFor(l.Home(cluster)))
	if is == "" {
		return l.unguard(cluster)
	}
	text := fmt.Sprintf(`# This installation was made for the instance %[1]s and starts on no other, such as one from an image of this host.
[Unit]
After=cloud-init-local.service cloud-init.service cloud-init-network.service
[Service]
ExecCondition=+/bin/sh -c 'i=/var/lib/cloud/data/instance-id; test ! -e $i || grep -qxF -e %[1]s $i || { echo "not started: installed for the instance %[1]s, and this is another; see %[2]s" >&2; exit 1; }'
`, is, l.guardFile(cluster))
	path := l.guardFile(cluster)
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return nil
	}
	if err := durable.MkdirAll(l.guardDir(cluster), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(path, []byte(text), 0o644)
}

func (l Layout) guardDir(cluster string) string { return l.units(cluster + "-.service.d") }
func (l Layout) guardFile(cluster string) string {
	return l.units(cluster+"-.service.d", "instance.conf")
}

// unguard leaves drop-ins of the operator's own where they are.
func (l Layout) unguard(cluster string) error {
	if err := remove(l.guardFile(cluster)); err != nil {
		return err
	}
	if err := remove(l.guardDir(cluster)); !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

// forgetAgent takes away a bootstrap agent that an image brought from the host that it was made of, with that host's
// identity.
func forgetAgent(ctx context.Context, l Layout) error {
	if _, yes := l.copied(l.State()); !yes {
		return nil
	}
	if exists(l.unit()) && exists(l.systemd()) {
		if err := (systemd{l}).stop(ctx, UnitName); err != nil {
			return systemdFault(err)
		}
	}
	if err := durable.RemoveAll(l.State()); err != nil {
		return localFault(err)
	}
	return nil
}

// forgetInstallation does the same with the installation of a cluster, so that this host gets its own. The data is moved
// aside: this host may be the only one that still has it.
func forgetInstallation(ctx context.Context, l Layout, cluster string) error {
	was, yes := l.copied(l.Home(cluster))
	if !yes {
		return nil
	}
	if err := setAside(ctx, l, cluster, was); err != nil {
		return err
	}
	return uninstall(ctx, l, cluster, false)
}

// setAside is done before the rest: what says that the installation is a copy must be the last to go.
func setAside(ctx context.Context, l Layout, cluster, was string) error {
	data := l.data(cluster)
	if !exists(data) {
		return nil
	}
	units, err := ownUnits(l, cluster)
	if err != nil {
		return localFault(err)
	}
	if len(units) > 0 && exists(l.systemd()) {
		// Where systemd is too old for the guard, they run.
		if err := (systemd{l}).stop(ctx, units...); err != nil {
			return systemdFault(err)
		}
	}
	to := data + "." + was
	for n := 2; exists(to); n++ {
		to = fmt.Sprintf("%s.%s.%d", data, was, n)
	}
	if err := durable.Rename(data, to); err != nil {
		return fault.New(fault.Conflict, "if it is a disk of its own that came with the image: empty it, or unmount it and give the host a new one; then run the user-data again",
			"this host was made from an image of %s, and the data %s of that host cannot be moved aside", was, data).Because(err)
	}
	return nil
}
