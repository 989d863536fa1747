#!/bin/sh
# A key of this host's own, written and read through its proxy.
{{- if eq .Role.Name "public-agent" }}
# By the address that other hosts use.
endpoint=http://{{ .Host.Address | shell }}:{{ .Param.client_port }}
{{- else }}
endpoint=http://127.0.0.1:{{ .Param.client_port }}
{{- end }}
key=/muster/{{ .Cluster.Name }}/postflight/{{ .Host.Name | shell }}/$$
value=$(date +%s)-$$

ctl() { etcdctl --endpoints="$endpoint" --dial-timeout=3s --command-timeout=4s "$@" 2>&1; }

# What etcdctl said, without its log lines.
show() { printf '%s\n' "$1" | sed '/^{"level"/d'; }

fail() {
	reason=$(show "$2" | sed -n 's/^Error: //p')
	echo "$1${reason:+: $reason}"
	show "$2"
	exit 2
}

# The lease removes the key even if this script is killed before it can.
out=$(ctl lease grant 60) || fail "no lease can be had through the proxy at $endpoint" "$out"
lease=${out#lease }
lease=${lease%% *}
trap 'ctl lease revoke "$lease" >/dev/null' EXIT

out=$(ctl put --lease="$lease" "$key" "$value") || fail "no key can be written through the proxy at $endpoint" "$out"
out=$(ctl get --print-value-only "$key") || fail "no key can be read through the proxy at $endpoint" "$out"
[ "$out" = "$value" ] || fail "a key written through the proxy at $endpoint was read back as something else" \
	"wrote $value, read $out"
out=$(ctl del "$key") || fail "no key can be deleted through the proxy at $endpoint" "$out"
echo "wrote, read and deleted a key through $endpoint"
