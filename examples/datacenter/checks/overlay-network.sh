#!/bin/sh
{{- if .Param.overlay_enabled }}
network={{ .Param.overlay_network }}
address={{ .Host.Address | shell }}
if ! command -v ip >/dev/null 2>&1; then
	echo "there is no command ip to look with"
	exit 3
fi
# The bridge of the containers itself is there on a second try.
routes=$(ip route show root "$network" 2>/dev/null; ip -6 route show root "$network" 2>/dev/null)
routes=$(printf '%s\n' "$routes" | grep -v ' dev overlay0 ' | grep -v '^$')
if [ -n "$routes" ]; then
	echo "$network is used already on this host, whose address is $address"
	printf '%s\n' "$routes"
	exit 2
fi
case $(ip route get "${network%/*}" 2>/dev/null) in
*" dev lo "*)
	echo "$network holds an address of this host"
	exit 2
	;;
esac
echo "$network is not used on this host"
{{- else }}
echo "not asked for (overlay_enabled: false)"
{{- end }}
