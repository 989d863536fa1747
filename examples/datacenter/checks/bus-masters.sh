#!/bin/sh
# Every other master is connected, and a message passes between any two.
monitor=http://127.0.0.1:{{ .Param.bus_monitor_port }}
login={{ .Cluster.Root | shell }}/current/etc/bus.login
own=nats://{{ .Host.Address | urlhost | shell }}:{{ .Param.bus_client_port }}
expected=$(({{ len .Roster.master }} - 1))

said=$(bus health --monitor "$monitor" 2>&1) || { echo "$said"; exit 2; }
routes=$(bus count --monitor "$monitor" routes 2>&1) || { echo "$routes"; exit 2; }
if [ "$routes" -ne "$expected" ]; then
	echo "the bus is connected with $routes other masters, there are $expected"
	exit 2
fi
for address in{{ range .Roster.master }} {{ .Address | urlhost | shell }}{{ end }}; do
	said=$(bus pass --login "$login" --timeout 4s --publish "$own" --subscribe "nats://$address:{{ .Param.bus_client_port }}" 2>&1) ||
		{ echo "$said"; exit 2; }
done
echo "connected with $routes other masters; messages pass"
