#!/bin/sh
# This member alone: does it answer, is there a leader to write to, has etcd raised an alarm.
endpoint=http://{{ .Host.Address | shell }}:{{ .Param.client_port }}

ctl() { etcdctl --endpoints="$endpoint" --dial-timeout=3s --command-timeout=5s "$@" 2>&1; }

# The health call proposes through the leader, so that it fails without a quorum.
if ! out=$(ctl endpoint health); then
	echo "etcd at $endpoint is not healthy"
	echo "$out"
	exit 2
fi
if ! alarms=$(ctl alarm list); then
	echo "etcd at $endpoint does not tell its alarms"
	echo "$alarms"
	exit 2
fi
if [ -n "$alarms" ]; then
	echo "etcd has raised an alarm: $alarms"
	exit 2
fi
echo "etcd at $endpoint is healthy"
