package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Names become paths, units and directories on hosts, where root works with them; so they are few and plain.

const (
	maxClusterName = 32
	maxName        = 64
)

// name is what packages, units and checks are called.
var name = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// reservedClusters are names whose units (<name>.target, <name>-x.service) or directories (/opt/<name>,
// /var/lib/<name>) belong to the system.
var reservedClusters = strings.Fields(`
	systemd dbus ssh sshd cloud-init cloud network getty user system init multi-user bootstrap-agent
	basic bluetooth boot-complete cryptsetup default emergency exit final graphical halt hibernate initrd kexec
	local-fs machines network-online nss-lookup paths poweroff printer reboot remote-fs rescue rpcbind runlevel
	serial-getty shutdown sleep slices smartcard sockets sound suspend swap sysinit time-sync timers umount
	apt cron dnf docker containerd dpkg misc private rpm
`)

func (c cursor) clusterName() string {
	s, ok := c.text()
	switch {
	case !ok:
	case !dnsLabel.MatchString(s) || len(s) > maxClusterName:
		c.fail(quote(s)+" cannot name a cluster", fmt.Sprintf("write at most %d lower-case letters, digits and hyphens, beginning and ending with a letter or digit", maxClusterName))
	case slices.Contains(reservedClusters, s):
		c.fail(quote(s)+" is reserved: units or directories of the operating system have that name", "choose a name of your own, such as prod-"+s[:min(len(s), 20)])
	}
	return s
}

// checkRoleName checks the key of a role.
func (c cursor) checkRoleName(s string) {
	if !dnsLabel.MatchString(s) {
		c.failKey(quote(s)+" cannot name a role", "write at most 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit")
	}
}

// checkName checks the key of a package, a unit or a check.
func (c cursor) checkName(kind, s string) {
	if !name.MatchString(s) || len(s) > maxName {
		c.failKey(quote(s)+" cannot name a "+kind, fmt.Sprintf("write at most %d lower-case letters, digits, dots, hyphens and underscores, beginning with a letter or digit", maxName))
	}
}

// labelKey is what a label is called.
var labelKey = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

func checkLabelKey(c cursor, s string) {
	if !labelKey.MatchString(s) {
		c.failKey(quote(s)+" cannot name a label", "write at most 63 letters, digits, dots, hyphens, underscores and slashes, beginning and ending with a letter or digit")
	}
}

const maxLabelValue = 253

func checkLabelValue(c cursor, s string) {
	if len(s) > maxLabelValue || printable(s) != s {
		c.fail("cannot be the value of a label: it is too long or holds control characters", fmt.Sprintf("write at most %d visible characters", maxLabelValue))
	}
}
