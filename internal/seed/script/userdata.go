package script

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"muster/internal/manifest"
	"muster/internal/seed"
)

// MaxUserData is how much user-data clouds take (EC2 is the strictest).
const MaxUserData = 16384

// bootTries bounds how long a host tries to get the bootstrap agent: about a day, as long as the longest-lived token.
const bootTries = 1500

// Format is a form of user-data.
type Format string

// The formats. cloud-init runs both once per instance and shows their output on the console.
const (
	CloudConfig Format = "cloud-config"
	Script      Format = "script"
)

// Formats are all formats, in the order in which help lists them.
var Formats = []Format{CloudConfig, Script}

//go:embed join.sh
var joinScript string

//go:embed static.sh
var staticScript string

// UserData makes the user-data that joins a host to the coordinator. It holds the join token.
func UserData(s *seed.Seed, format Format) ([]byte, error) {
	encoded, err := s.Encode()
	if err != nil {
		return nil, err
	}
	agents := make(map[manifest.Arch]manifest.Blob, len(s.Agents))
	for arch, a := range s.Agents {
		agents[arch] = manifest.Blob{Digest: a.Digest, Size: a.Size}
	}
	var top assignments
	top.set("sources", strings.Join(s.Sources, " "))
	top.set("tries", strconv.Itoa(bootTries))
	top.setAgents(agents)
	// The seed is one line that begins with a brace, so it cannot end the here-document; and cat takes it from there,
	// so the token is in no argument.
	body := "write_seed() {\ncat <<'SEED'\n" + string(encoded) + "SEED\n}\n" + terse(agentScript+joinScript)
	return wrap("Joins this host to the cluster "+s.Cluster+". Holds a join token: keep it to yourself.", top, body, format)
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
	return wrap(title, top, terse(agentScript+staticScript), format)
}

func wrap(title string, top assignments, body string, format Format) ([]byte, error) {
	code := "#!/bin/sh\n# " + title + "\n" + top.text.String() + body
	switch format {
	case Script:
	case CloudConfig:
		// An item that is text, not a list, goes into cloud-init's script as it is: nothing becomes an argument.
		var b strings.Builder
		b.WriteString("#cloud-config\nruncmd:\n- |\n")
		for line := range strings.Lines(code) {
			b.WriteString(" " + line)
		}
		code = b.String()
	default:
		return nil, fmt.Errorf("user-data: unknown format %q; the formats are %v", format, Formats)
	}
	if len(code) > MaxUserData {
		return nil, fmt.Errorf("the user-data has %d bytes and clouds take %d: give fewer labels, coordinators or sources", len(code), MaxUserData)
	}
	return []byte(code), nil
}
