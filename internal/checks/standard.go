package checks

import (
	"fmt"
	"strconv"
	"time"
)

// Standard are the checks that every host has to pass before a cluster's software is installed, whatever the bundle
// asks for. Their names begin with "host.".
func Standard(cluster string) []Definition {
	return []Definition{
		standard("host.root", "critical", "root", nil),
		standard("host.systemd", "critical", "systemd", nil),
		standard("host.installed", "critical", "absent", map[string]string{"path": "/opt/" + cluster}),
		standard("host.opt", "critical", "writable", map[string]string{"path": "/opt/" + cluster, "exec": "yes"}),
		standard("host.data", "critical", "writable", map[string]string{"path": "/var/lib/" + cluster}),
		standard("host.data-exec", "warning", "writable", map[string]string{"path": "/var/lib/" + cluster, "exec": "yes"}),
		standard("host.name", "warning", "host-name", nil),
	}
}

// Room is the check that what is to be installed fits, in bytes and in files.
func Room(cluster string, bytes int64, files int) Definition {
	d := standard("host.room", "critical", "disk-space", map[string]string{
		"path": "/opt/" + cluster, "min": strconv.FormatInt(max(bytes, 1), 10), "inodes": strconv.Itoa(max(files, 1)),
	})
	d.Summary = fmt.Sprintf("%s are free for the packages", FormatBytes(bytes))
	return d
}

func standard(name, severity, probe string, with map[string]string) Definition {
	d := Definition{Name: name, Stage: Preflight, Severity: severity, Probe: probe, With: with, Timeout: 10 * time.Second}
	for _, p := range probes {
		if p.name == probe {
			d.Summary = p.summary
		}
	}
	return d
}
