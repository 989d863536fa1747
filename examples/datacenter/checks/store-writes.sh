#!/bin/sh
# A key of this host's own, written here and read at every master.
port={{ .Param.store_client_port }}
own=http://{{ .Host.Address | urlhost | shell }}:$port
key={{ .Param.state_path | shell }}/postflight/{{ .Host.Name | shell }}/$$
value=$(date +%s)-$$

ctl() { etcdctl --dial-timeout=3s --command-timeout=4s "$@" 2>&1; }

fail() {
	echo "$1"
	printf '%s\n' "$2" | sed '/^{"level"/d'
	exit 2
}

# The lease removes the key even if this script is killed before it can.
out=$(ctl --endpoints="$own" lease grant 60) || fail "no lease can be had at $own" "$out"
lease=${out#lease }
lease=${lease%% *}
trap 'ctl --endpoints="$own" lease revoke "$lease" >/dev/null' EXIT
out=$(ctl --endpoints="$own" put --lease="$lease" "$key" "$value") || fail "no key can be written at $own" "$out"
for address in{{ range .Roster.master }} {{ .Address | urlhost | shell }}{{ end }}; do
	out=$(ctl --endpoints="http://$address:$port" get --print-value-only "$key") || fail "no key can be read at $address" "$out"
	[ "$out" = "$value" ] || fail "a key written at $own is read as something else at $address" "wrote $value, read $out"
done
echo "wrote a key, and read it at {{ len .Roster.master }} masters"
