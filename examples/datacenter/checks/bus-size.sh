#!/bin/sh
agents=$(bus count --monitor http://127.0.0.1:{{ .Param.bus_monitor_port }} leafs 2>&1) || { echo "$agents"; exit 3; }
echo "$agents agents are connected here, {{ .Param.max_agents }} are planned for"
[ "$agents" -le {{ .Param.max_agents }} ] || exit 1
