package script

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"muster/internal/manifest"
	"muster/internal/seed"
)

// bootTries bounds how long a host tries to get the bootstrap agent: about a day, as long as the longest-lived token.
const bootTries = 3800

//go:embed join.sh
var joinScript string

//go:embed static.sh
var staticScript string

// UserData makes the user-data that joins a host to the coordinator. It holds what the seed holds.
func UserData(s *seed.Seed, format Format) ([]byte, error) {
	if len(s.Agents) == 0 {
		return nil, errors.New("user-data: the seed names no bootstrap agent")
	}
	if _, err := s.Encode(); err != nil {
		return nil, err
	}
	// What the script verifies, the agent need not be told.
	lean := *s
	lean.Agents = nil
	encoded, err := lean.Encode()
	if err != nil {
		return nil, err
	}
	agents := make(map[manifest.Arch]manifest.Blob, len(s.Agents))
	for arch, a := range s.Agents {
		agents[arch] = manifest.Blob{Digest: a.Digest, Size: a.Size}
	}
	var top assignments
	top.set("cluster", s.Cluster)
	top.set("sources", strings.Join(s.Sources, " "))
	top.set("tries", strconv.Itoa(bootTries))
	top.setAgents(agents)
	// The seed is one line that begins with a brace, so it cannot end the here-document; and cat takes it from there,
	// so the token is in no argument.
	body := "write_seed() {\ncat <<'SEED'\n" + string(encoded) + "SEED\n}\n" + terse(agentScript+joinScript)
	holds := "Holds a join token: keep it to yourself."
	if s.AWSPolicy != "" {
		holds = "Holds no secret."
	}
	return program{s.Cluster, "Joins the cluster " + s.Cluster + ". " + holds, &top, body}.as(format)
}

// StaticUserData makes the user-data that installs a role without a coordinator. It holds no secret.
func StaticUserData(g *manifest.Generation, role manifest.Role, format Format) ([]byte, error) {
	i := slices.IndexFunc(g.Roles, func(e manifest.RoleEntry) bool { return e.Name == role })
	if i < 0 {
		return nil, fmt.Errorf("user-data: the generation has no role %q", role)
	}
	sources, err := Sources(g)
	if err != nil {
		return nil, err
	}
	var top assignments
	top.set("sources", strings.Join(sources, " "))
	top.set("tries", strconv.Itoa(bootTries))
	top.set("role", string(role))
	top.set("manifest", string(g.Roles[i].Manifest.Digest))
	top.set("manifest_size", strconv.FormatInt(g.Roles[i].Manifest.Size, 10))
	top.setAgents(g.Agents)
	if err := top.setSigning(g); err != nil {
		return nil, err
	}
	title := "Installs this host as " + string(role) + " of the cluster " + g.Cluster + ", without a coordinator. " +
		"The web servers that have the generation stand in sources."
	return program{g.Cluster, title, &top, terse(agentScript + staticScript)}.as(format)
}
