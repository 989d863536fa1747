// Package agent is the host's engine: it enrols, follows the coordinator's directives, installs by steps, keeps a journal
// so that it goes on after a crash at any point, and removes itself. It knows the protocol and this host; it decides
// nothing that concerns another host.
package agent

import (
	"path/filepath"

	"muster/internal/manifest"
)

// Layout says where things are. Root is "" on a host; elsewhere it is a private root to work in.
type Layout struct{ Root string }

// UnitName is the unit that runs the bootstrap agent.
const UnitName = "bootstrap-agent.service"

func (l Layout) at(parts ...string) string {
	return filepath.Join(append([]string{"/", l.Root}, parts...)...)
}

// State is what the bootstrap agent keeps while it works; all of it goes when it leaves.
func (l Layout) State() string   { return l.at("var/lib/bootstrap-agent") }
func (l Layout) binary() string  { return l.at("var/lib/bootstrap-agent/bootstrap-agent") }
func (l Layout) seed() string    { return l.at("var/lib/bootstrap-agent/seed") }
func (l Layout) key() string     { return l.at("var/lib/bootstrap-agent/identity") }
func (l Layout) journal() string { return l.at("var/lib/bootstrap-agent/journal") }
func (l Layout) lock() string    { return l.at("var/lib/bootstrap-agent/lock") }
func (l Layout) blobs() string   { return l.at("var/lib/bootstrap-agent/blobs") }
func (l Layout) began() string   { return l.at("var/lib/bootstrap-agent/began") }
func (l Layout) started() string { return l.at("var/lib/bootstrap-agent/started") }
func (l Layout) scratch() string { return l.at("var/lib/bootstrap-agent/checks") }
func (l Layout) log() string     { return l.at("var/lib/bootstrap-agent/log") }
func (l Layout) unit() string    { return l.units(UnitName) }
func (l Layout) wanted() string  { return l.units("multi-user.target.wants", UnitName) }
func (l Layout) systemd() string { return l.at("run/systemd/system") }

// command is a program of the host. A private root has its own or none: what works there never reaches the machine's.
func (l Layout) command(name string) string {
	if l.Root == "" {
		return name
	}
	return l.at("usr/bin", name)
}

func (l Layout) units(name ...string) string {
	return l.at(append([]string{"etc/systemd/system"}, name...)...)
}

// Home is where a cluster's installation is.
func (l Layout) Home(cluster string) string           { return l.at("opt", cluster) }
func (l Layout) data(cluster string) string           { return l.at("var/lib", cluster) }
func (l Layout) current(cluster string) string        { return l.at("opt", cluster, "current") }
func (l Layout) generation(cluster, id string) string { return l.at("opt", cluster, "generations", id) }

// once has a mark for each of the publisher's steps that went well and is not to be run again.
func (l Layout) once(cluster string, step ...string) string {
	return l.at(append([]string{"opt", cluster, "once"}, step...)...)
}

// pack is the directory of a package, named by content, so that generations share it.
func (l Layout) pack(cluster, name string, digest manifest.Digest) string {
	return l.at("opt", cluster, "packages", packName(name, digest))
}

func packName(name string, digest manifest.Digest) string { return name + "--" + string(digest[:12]) }
