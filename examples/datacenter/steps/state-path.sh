# Says once in the store whose it is. All masters may say it at once.
key={{ .Param.state_path | shell }}/cluster
endpoint=http://127.0.0.1:{{ .Param.store_client_port }}
tries=0
until said=$(etcdctl --endpoints="$endpoint" --dial-timeout=3s --command-timeout=5s put "$key" {{ .Cluster.Name }} 2>&1); do
	tries=$((tries + 1))
	if [ "$tries" -ge 20 ]; then
		printf '%s\n' "$said" | sed '/^{"level"/d'
		echo "the store takes no key"
		exit 1
	fi
	sleep 2
done
echo "the store has $key"
