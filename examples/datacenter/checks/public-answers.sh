#!/bin/sh
# What comes through HAProxy is what comes without.
own={{ .Host.Address | urlhost | shell }}
{{- if has .Param.public_services "bus" }}
said=$(bus greets --timeout 4s "$own:{{ .Param.public_bus_port }}" 2>&1) || { echo "$said"; exit 2; }
{{- end }}
{{- if has .Param.public_services "store" }}
key={{ .Param.state_path | shell }}/cluster
ctl() { etcdctl --dial-timeout=3s --command-timeout=4s "$@" 2>&1; }
through=$(ctl --endpoints={{ if index .Param "public_tls_certificate" }}https{{ else }}http{{ end }}://"$own":{{ .Param.public_store_port }}{{ if index .Param "public_tls_certificate" }} --insecure-skip-tls-verify{{ end }} get --print-value-only "$key") || {
	echo "the store cannot be read through HAProxy"
	printf '%s\n' "$through" | sed '/^{"level"/d'
	exit 2
}
for address in{{ if eq .Cluster.Discovery "endpoint" }} {{ .Endpoint | urlhost | shell }}{{ else }}{{ range .Roster.master }} {{ .Address | urlhost | shell }}{{ end }}{{ end }}; do
	direct=$(ctl --endpoints="http://$address:{{ .Param.store_client_port }}" get --print-value-only "$key") && break
done
if [ "$through" != {{ .Cluster.Name }} ] || [ "$through" != "$direct" ]; then
	echo "$key is $through through HAProxy, and $direct at a master"
	exit 2
fi
{{- end }}
echo "{{ range $i, $service := .Param.public_services }}{{ if $i }} and {{ end }}{{ $service }}{{ end }} can be reached at $own"
