package script

import (
	_ "embed"
	"fmt"
	"strings"

	"muster/internal/manifest"
)

//go:embed agent.sh
var agentScript string

// assignments are the top of a script. Values are quoted, whatever they are.
type assignments struct{ text strings.Builder }

func (a *assignments) set(name, value string) {
	fmt.Fprintf(&a.text, "%s=%s\n", name, quote(value))
}

// setAgents names the bootstrap agent of every architecture, empty where there is none.
func (a *assignments) setAgents(digests map[manifest.Arch]manifest.Blob) {
	for _, arch := range []manifest.Arch{"amd64", "arm64"} {
		value := ""
		if b, ok := digests[arch]; ok {
			value = fmt.Sprintf("%s %d", b.Digest, b.Size)
		}
		a.set("agent_"+string(arch), value)
	}
}

// quote makes one word for a POSIX shell: in single quotes nothing but a single quote is special.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// terse drops comments, empty lines and indentation: what is sent to every host has to be short, and the place to read
// it is here. No line of the scripts may begin with a tab for any other reason than indentation.
func terse(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if text := strings.TrimLeft(line, "\t"); text != "\n" && !strings.HasPrefix(text, "#") {
			b.WriteString(text)
		}
	}
	return b.String()
}
