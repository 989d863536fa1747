#!/bin/sh
# As programs on this host do: in by the bus on 127.0.0.1, and out at a master.
login={{ .Cluster.Root | shell }}/current/etc/bus.login
said=$(bus health --monitor http://127.0.0.1:{{ .Param.bus_monitor_port }} 2>&1) || { echo "$said"; exit 2; }
arrived=0
for address in{{ if eq .Cluster.Discovery "endpoint" }} {{ .Endpoint | urlhost | shell }}{{ else }}{{ range .Roster.master }} {{ .Address | urlhost | shell }}{{ end }}{{ end }}; do
	if said=$(bus pass --login "$login" --timeout 5s --publish nats://127.0.0.1:{{ .Param.bus_client_port }} \
		--subscribe "nats://$address:{{ .Param.bus_client_port }}" 2>&1); then
		arrived=$((arrived + 1))
	else
		failed=$said
	fi
done
if [ "$arrived" = 0 ]; then
	echo "$failed"
	exit 2
fi
# One master less is not this host's fault.
echo "messages arrive at $arrived masters${failed:+, and not everywhere: $failed}"
[ -z "${failed:-}" ] || exit 1
