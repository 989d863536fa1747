package main

import (
	"fmt"
	"net/netip"
	"strings"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// target is one host to push to and the role that its token is bound to.
type target struct {
	Host string
	Role manifest.Role
}

// parseTargets reads HOST arguments, which take the role of --role, and ROLE=HOST[,HOST...] arguments. Without any, the
// hosts that the cluster config lists by address are meant.
func parseTargets(args []string, role string, listed []manifest.Listed) ([]target, error) {
	var targets []target
	roleOf := make(map[string]manifest.Role)
	for _, l := range listed {
		for _, name := range []string{l.Address, l.Name} {
			if name != "" {
				roleOf[name] = l.Role
			}
		}
	}
	seen := make(map[string]bool)
	add := func(host string, role manifest.Role) error {
		switch {
		case host == "" || strings.ContainsAny(host, " \t\n@/=") || strings.Contains(host, ":") && !isAddress(host):
			return usageError(fmt.Errorf("%q is not a host: give a name or an address alone; --user and --port say the rest", host))
		case seen[host]:
			return usageError(fmt.Errorf("%s is named twice", host))
		case role == "":
			return usageError(fault.New(fault.Invalid, "say --role ROLE, or ROLE="+host+", or list it under hosts in cluster.yaml",
				"what role is %s for?", host))
		}
		seen[host] = true
		targets = append(targets, target{host, role})
		return nil
	}
	for _, arg := range args {
		if r, hosts, ok := strings.Cut(arg, "="); ok {
			for host := range strings.SplitSeq(hosts, ",") {
				if err := add(host, manifest.Role(r)); err != nil {
					return nil, err
				}
			}
			continue
		}
		r := manifest.Role(role)
		if r == "" {
			r = roleOf[arg]
		}
		if err := add(arg, r); err != nil {
			return nil, err
		}
	}
	if len(args) == 0 {
		for _, l := range listed {
			if l.Address != "" {
				if err := add(l.Address, l.Role); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(targets) == 0 {
		return nil, usageError(fault.New(fault.Invalid, "name hosts (coordinator push --role ROLE HOST...), or list them under hosts in cluster.yaml",
			"no host to push to"))
	}
	return targets, nil
}

// isAddress tells an IPv6 address from HOST:PORT.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
