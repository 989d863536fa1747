#!/bin/sh
# The members that etcd knows are exactly the masters of the roster, each of them has started, and each answers.
endpoint=http://{{ .Host.Address | urlhost | shell }}:{{ .Param.store_client_port }}
peer_port={{ .Param.store_peer_port }}
client_port={{ .Param.store_client_port }}
expected={{ len .Roster.master }}
set --{{ range .Roster.master }} {{ .Address | urlhost | shell }}{{ end }}

ctl() { etcdctl --dial-timeout=3s --command-timeout=5s "$@" 2>&1; }

# What etcdctl said, without its log lines.
show() { printf '%s\n' "$1" | sed '/^{"level"/d'; }

# One member a line: ID, status, name, peer URLs, client URLs, learner.
if ! list=$(ctl --endpoints="$endpoint" member list --write-out=simple); then
	echo "etcd at $endpoint does not tell its members"
	show "$list"
	exit 2
fi

members=0
started=" "
unstarted=" "
while IFS= read -r line; do
	case $line in *", "*) members=$((members + 1)) ;; *) continue ;; esac
	rest=${line#*, }
	status=${rest%%, *}
	rest=${rest#*, }
	peer_url=${rest#*, }
	peer_url=${peer_url%%, *}
	case $status in
	started) started="$started$peer_url " ;;
	*) unstarted="$unstarted$peer_url " ;;
	esac
done <<END
$list
END
if [ "$members" -ne "$expected" ]; then
	echo "etcd has $members members, the roster has $expected"
	echo "$list"
	exit 2
fi

endpoints=
for address; do
	url=http://$address:$peer_port
	case $started in
	*" $url "*) ;;
	*)
		case $unstarted in
		*" $url "*) echo "the member at $address has been added but has not started yet" ;;
		*) echo "no member of etcd has the address $address" ;;
		esac
		echo "$list"
		exit 2
		;;
	esac
	endpoints=$endpoints${endpoints:+,}http://$address:$client_port
done

if ! out=$(ctl --endpoints="$endpoints" endpoint health); then
	echo "not every member answers:$(printf '%s\n' "$out" | sed -n 's/^\(http[^ ]*\) is unhealthy.*/ \1/p' | tr -d '\n')"
	show "$out"
	exit 2
fi
echo "$members members, all of them healthy"
