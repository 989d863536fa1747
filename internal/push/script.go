package push

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
)

//go:embed remote.sh
var remoteScript string

// safePath is what may lead the shell, sudo and coreutils to their programs on a host whose SSH server sets little.
const safePath = "PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin; "

// installed is where a bootstrap agent is that a host joins with.
const installed = "/var/lib/bootstrap-agent/bootstrap-agent"

// command is what the login shell gets. That may be any shell, so the command has no newline, no exclamation mark, no
// backslash and only one pair of single quotes, and is short: everything else is in the script, which dd reads without
// taking a byte too much. sudo's and the kernel's messages are recognised, hence the locale. The first line tells the
// host's architecture, the SHA-256 of the bootstrap agent that it may have already and what it can unpack, before it is
// known what to send; it costs no round trip, for it comes with the answer to exec.
func command(scriptSize int) string {
	return `exec /bin/sh -c '` + safePath + `umask 077; LC_ALL=C; export LC_ALL; ` +
		`command -v dd >/dev/null || { echo "` + replyPrefix + `failed missing-tool dd"; exit 1; }; ` +
		`a=` + installed + `; h=; [ -d ${a%/*} ] && h=$( { sha256sum $a || sudo -n sha256sum $a; } 2>/dev/null </dev/null); ` +
		`p=; for t in zstd gzip; do command -v $t >/dev/null && p=$p,$t; done; ` +
		`echo "` + replyPrefix + `host $(uname -s) $(uname -m) has=${h%% *} unpacks=$p"; ` +
		fmt.Sprintf(`eval "$(dd bs=1 count=%d 2>/dev/null)"'`, scriptSize)
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
	// packing is "" if the agent is sent as it is.
	packing packing
	// wireSize is how many bytes of the agent are sent: 0 if the host has it.
	wireSize int64
}

// scriptFor completes the script. The size of the result depends only on the widths that are fixed here, for it is
// announced before the agent is chosen.
func scriptFor(d delivery, seed Seed, token string, limit time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "agent_size=%d agent_sha256=%64s wire_size=%d packing=%s seed_size=%d token=%s time_limit=%d",
		d.agent.Size, d.agent.Digest, d.wireSize, d.packing, len(seed), token, max(1, int(limit.Seconds())))
	// Padded with a comment, not with zeros: shells read a leading zero as octal.
	fmt.Fprintf(&b, "%*s\n", headerSize-b.Len()-1, "#")
	b.WriteString(remoteScript)
	return b.String()
}

const headerSize = 320

// scriptSize is the size of every script that scriptFor makes.
func scriptSize() int { return headerSize + len(remoteScript) }

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
