package push

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"muster/internal/manifest"
)

//go:embed remote.sh
var remoteScript string

// safePath is what may lead the shell, sudo and coreutils to their programs on a host whose SSH server sets little.
const safePath = "PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin; "

// installed is where a bootstrap agent is that a host joins with.
const installed = "/var/lib/bootstrap-agent/bootstrap-agent"

// command is what the login shell gets. That may be any shell, so the command has no newline, no exclamation mark, no
// backslash and only one pair of single quotes, and is short: everything else is in the script, which dd reads without
// taking a byte too much, in one block where it can. sudo's and the kernel's messages are recognised, hence the locale.
// The first line tells the host's architecture, the SHA-256 of the bootstrap agent that it may have already, what it can
// unpack and what it can fetch with, before it is known what to send; it costs no round trip, for it comes with the
// answer to exec.
func command(scriptSize int) string {
	return `exec /bin/sh -c '` + safePath + `umask 077; LC_ALL=C; export LC_ALL; ` +
		`command -v dd >/dev/null || { echo "` + replyPrefix + `failed missing-tool dd"; exit 1; }; ` +
		`a=` + installed + `; h=; [ -d ${a%/*} ] && h=$( { sha256sum $a || sudo -n sha256sum $a; } 2>/dev/null </dev/null); ` +
		`p=; for t in zstd gzip; do command -v $t >/dev/null && p=$p,$t; done; ` +
		`f=; for t in curl wget python3; do command -v $t >/dev/null && f=$f,$t; done; ` +
		`echo "` + replyPrefix + `host $(uname -sm) has=${h%% *} unpacks=$p fetches=$f"; ` +
		fmt.Sprintf(`eval "$(dd bs=%[1]d count=1 iflag=fullblock 2>/dev/null || dd bs=1 count=%[1]d 2>/dev/null)"'`, scriptSize)
}

// ttyCommand starts the agent on a terminal; the first channel's script still owns the directory. How is how to become
// root; nothing in the command needs quoting.
func ttyCommand(how, agent, dir string) string {
	return `exec /bin/sh -c '` + safePath + `LC_ALL=C; export LC_ALL; ` +
		fmt.Sprintf(`exec %s %s launch %s/seed'`, how, agent, dir)
}

// delivery is how the agent gets to one host.
type delivery struct {
	agent Binary
	// there says that the host has it already.
	there bool
	// fetcher is what the host fetches it with; "" if it is sent.
	fetcher string
	// fetchPacked says that it comes in gzip, which the fetcher unpacks.
	fetchPacked bool
	// packing is "" if the agent is sent as it is.
	packing packing
	// wireSize is how many bytes of the agent are sent.
	wireSize int64
}

// way is the delivery in the script's words.
func (d delivery) way() string {
	switch {
	case d.there:
		return "there"
	case d.fetcher != "":
		return d.fetcher
	}
	return "send"
}

// scriptFor completes the script. The size of the result depends only on the seed, the sources and the widths that are
// fixed here, for it is announced before the agent is chosen. The seed is in a variable that is not exported.
func scriptFor(d delivery, seed Seed, sources []string, token string, limit time.Duration) string {
	var b strings.Builder
	blob, accept := manifest.BlobPath(d.agent.Digest), ""
	if d.fetchPacked {
		blob, accept = "packed/"+strings.TrimPrefix(blob, "blobs/"), "--compressed"
	}
	fmt.Fprintf(&b, "agent_size=%d agent_sha256=%64s blob=%s accept=%s way=%s wire_size=%d packing=%s token=%s time_limit=%d",
		d.agent.Size, d.agent.Digest, blob, accept, d.way(), d.wireSize, d.packing, token, max(1, int(limit.Seconds())))
	// Padded with a comment, not with zeros: shells read a leading zero as octal.
	fmt.Fprintf(&b, "%*s\n", headerSize-b.Len()-1, "#")
	b.WriteString(scriptRest(seed, sources))
	return b.String()
}

const headerSize = 430

func scriptRest(seed Seed, sources []string) string {
	return "sources=" + quoted(strings.Join(sources, " ")) + "\nset +a; unset seed; seed=" + quoted(string(seed)) + "\n" + remoteScript
}

// quoted is a word of the shell that means the text, whatever is in it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// scriptSize is the size of every script that scriptFor makes of these.
func scriptSize(seed Seed, sources []string) int { return headerSize + len(scriptRest(seed, sources)) }

// ownDirectory says whether the host named a directory that the script could have made: it becomes part of a command.
func ownDirectory(dir, token string) bool {
	base, ok := strings.CutSuffix(dir, "/muster-push-"+token)
	if !ok || !strings.HasPrefix(base, "/") {
		return false
	}
	return strings.IndexFunc(base, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
	}) < 0
}
