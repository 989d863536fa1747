#!/bin/sh
# This member alone: does it answer, is there a leader to write to, has etcd raised an alarm.
endpoint=http://{{ .Host.Address | urlhost | shell }}:{{ .Param.store_client_port }}

# The health call is a read through the leader, so that it fails without a quorum; and it asks for alarms.
if out=$(etcdctl --endpoints="$endpoint" --dial-timeout=3s --command-timeout=5s endpoint health 2>&1); then
	echo "etcd at $endpoint is healthy"
	exit 0
fi
reason=$(printf '%s\n' "$out" | sed -n 's/.* is unhealthy: //p')
echo "etcd at $endpoint is not healthy: ${reason:-no reason given}"
printf '%s\n' "$out" | sed '/^{"level"/d' # without etcdctl's log lines
exit 2
