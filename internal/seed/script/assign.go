package script

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"muster/internal/manifest"
	"muster/internal/sign"
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

// setSigning gives the words by which the bootstrap agent is told whose signatures count, none where nobody signs.
// Labels and base64 have nothing in them that a shell would expand, so the words need no quotes of their own.
func (a *assignments) setSigning(g *manifest.Generation) error {
	var words []string
	if s := g.Signing; s != nil {
		if _, err := sign.Keys(*s); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		words = append(words, "--cluster", g.Cluster, "--cluster-id", s.ID, "--threshold", strconv.Itoa(s.Threshold))
		for _, key := range s.Keys {
			words = append(words, "--key", key)
		}
	}
	a.set("signing", strings.Join(words, " "))
	return nil
}

// quote makes one word for a POSIX shell: in single quotes nothing but a single quote is special.
func quote(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// plain is in every shell only itself.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-"

// terse drops comments, empty lines, indentation, and blanks that say nothing: what is sent to every host has to be
// short, and the place to read it is here. No line of the scripts may begin with a tab for any other reason than
// indentation, and no text in them may have an operator between blanks.
func terse(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if text := strings.TrimLeft(line, "\t"); text != "\n" && !strings.HasPrefix(text, "#") {
			b.WriteString(tight.Replace(text))
		}
	}
	return b.String()
}

var tight = strings.NewReplacer(" && ", "&&", " || ", "||", " | ", "|", " ;;", ";;", " + ", "+", " / ", "/", " * ", "*", " % ", "%", " < ", "<", " ? ", "?", " : ", ":")
