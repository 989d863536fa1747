package script

import (
	_ "embed"
	"fmt"
	"net"
	"strconv"
	"strings"

	"muster/internal/manifest"
	"muster/internal/seed"
)

//go:embed install.sh
var installScript string

// Install makes install.sh: the installation by hand, from any web server or directory that has the generation.
func Install(g *manifest.Generation) ([]byte, error) {
	sources, err := Sources(g)
	if err != nil {
		return nil, err
	}
	var top assignments
	top.set("cluster", g.Cluster)
	top.set("default_sources", strings.Join(sources, " "))
	top.setAgents(g.Agents)
	if err := top.setSigning(g); err != nil {
		return nil, err
	}
	var names []string
	var cases strings.Builder
	for _, e := range g.Roles {
		names = append(names, string(e.Name))
		fmt.Fprintf(&cases, "\t%s) manifest=%s manifest_size=%d ;;\n", quote(string(e.Name)), e.Manifest.Digest, e.Manifest.Size)
	}
	top.set("roles", strings.Join(names, " "))
	return []byte("#!/bin/sh\n" +
		"# Installs a host of the cluster " + g.Cluster + " by hand; `install.sh --help` says how. Made by `coordinator genconf`.\n" +
		"# Config id: " + string(g.ConfigID) + "\n\n" +
		top.text.String() + "\n" +
		"choose_manifest() {\n\tcase $role in\n" + cases.String() + "\t*) return 1 ;;\n\tesac\n}\n\n" +
		agentScript + "\n" + installScript), nil
}

// Sources are the base URLs at which the coordinator serves a generation.
func Sources(g *manifest.Generation) ([]string, error) {
	urls := make([]string, 0, len(g.Coordinator.Addresses))
	for _, address := range g.Coordinator.Addresses {
		u := "http://" + net.JoinHostPort(address, strconv.Itoa(g.Coordinator.HTTPPort))
		if err := seed.ValidSource(u); err != nil {
			return nil, fmt.Errorf("the coordinator's address %q: %w", address, err)
		}
		urls = append(urls, u)
	}
	return urls, nil
}
