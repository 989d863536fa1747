package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"muster/internal/fault"
	"muster/internal/hostlist"
	"muster/internal/manifest"
	"muster/internal/push"
	operatorv1 "muster/proto/muster/operator/v1"
)

// maxTargets is far more than a cluster has.
const maxTargets = hostlist.Max

// target is one host to push to and the role that its token is bound to.
type target struct {
	Host string
	Role manifest.Role
	// Address is what cluster.yaml lists for the host's name; empty if it lists none.
	Address string
}

// parseTargets reads HOST arguments, which take the role of --role, and ROLE=HOST[,HOST...] arguments; a HOST may be a
// range. Without any, the hosts that the cluster config lists by address are meant. A host that is named twice with one
// role counts once.
func parseTargets(args []string, role string, listed []manifest.Listed) ([]target, error) {
	var targets []target
	known := make(map[string]manifest.Listed)
	for _, l := range listed {
		for _, name := range []string{l.Address, l.Name} {
			if name != "" {
				known[name] = l
			}
		}
	}
	seen := make(map[string]manifest.Role)
	add := func(host string, role manifest.Role, of string) error {
		switch {
		case host == "" || strings.HasPrefix(host, "-") || strings.ContainsAny(host, " \t\n@/=") || strings.Contains(host, ":") && !isAddress(host):
			return usageError(fmt.Errorf("%q is not a host: give a name or an address alone; --user and --port say the rest", host))
		case strings.Contains(host, ".") && strings.Trim(host, "0123456789.") == "" && !isAddress(host):
			return usageError(fault.New(fault.Invalid, "write four numbers from 0 to 255 without leading zeros, such as 10.0.0.[1-254]",
				"%q is not an address%s", host, of))
		case role == "":
			return usageError(fault.New(fault.Invalid, "say --role ROLE, or ROLE="+host+", or list it under hosts in cluster.yaml",
				"what role is %s for?", host))
		}
		if before, ok := seen[host]; ok {
			if before != role {
				return usageError(fmt.Errorf("%s is named twice, for the roles %s and %s", host, before, role))
			}
			return nil
		}
		if len(targets) == maxTargets {
			return usageError(fmt.Errorf("more than %d hosts", maxTargets))
		}
		seen[host] = role
		t := target{Host: host, Role: role}
		if l := known[host]; l.Name == host {
			t.Address = l.Address
		}
		targets = append(targets, t)
		return nil
	}
	for _, arg := range args {
		r, list, bound := strings.Cut(arg, "=")
		if !bound {
			r, list = role, arg
		}
		for _, pattern := range hostlist.Split(list) {
			hosts, err := hostlist.Expand(pattern)
			if err != nil {
				return nil, usageError(err)
			}
			for _, host := range hosts {
				of := ""
				if host != pattern {
					of = " (" + pattern + ")"
				}
				hostRole := manifest.Role(r)
				if hostRole == "" && !bound {
					hostRole = known[host].Role
				}
				if err := add(host, hostRole, of); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(args) == 0 {
		for _, l := range listed {
			if l.Address != "" {
				if err := add(l.Address, l.Role, ""); err != nil {
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

// maxHostsInput bounds what is read as a list of hosts.
const maxHostsInput = 16 << 20

// readArguments replaces an argument - by the words of standard input.
func readArguments(args []string, stdin io.Reader) ([]string, error) {
	at := slices.Index(args, "-")
	if at < 0 {
		return args, nil
	}
	if slices.Contains(args[at+1:], "-") {
		return nil, usageError(errors.New("- is named twice; standard input can be read once"))
	}
	content, err := io.ReadAll(io.LimitReader(stdin, maxHostsInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(content) > maxHostsInput:
		return nil, usageError(fmt.Errorf("standard input: more than %d bytes are no list of hosts", maxHostsInput))
	}
	var words []string
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "-") || !utf8.ValidString(word) {
				return nil, usageError(fmt.Errorf("standard input:%d: %q is not a host", number, word))
			}
			words = append(words, word)
		}
	}
	if len(words) == 0 && len(args) == 1 {
		return nil, usageError(errors.New("standard input names no host"))
	}
	return slices.Concat(args[:at], words, args[at+1:]), nil
}

// failedTargets are the hosts whose last push failed, with the roles that they were pushed for, and the labels of those that were
// given some.
func failedTargets(ctx context.Context, client operatorv1.OperatorServiceClient, args []string, listed []manifest.Listed) ([]target, map[string]map[string]string, error) {
	if len(args) > 0 {
		return nil, nil, usageError(errors.New("--retry-failed knows the hosts: leave the others out"))
	}
	var again []string
	labels := make(map[string]map[string]string)
	err := eachHost(ctx, client, func(h *operatorv1.Host) {
		if h.Push != "" && h.Push != string(push.Pushed) {
			name := h.Id
			if h.Role != "" {
				name = h.Role + "=" + name
			}
			again = append(again, name)
			if given := h.GetFacts().GetLabels(); len(given) > 0 {
				labels[h.Id] = given
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if len(again) == 0 {
		return nil, nil, fault.New(fault.NotFound, "coordinator status shows how the hosts stand", "no push failed")
	}
	targets, err := parseTargets(again, "", listed)
	return targets, labels, err
}

// isAddress tells an IPv6 address from HOST:PORT.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
