{{- if eq .Cluster.Discovery "endpoint" -}}
# Without a port, and known to this host: else everything would be installed before that is found out.
endpoint={{ .Endpoint | shell }}
case $endpoint in
\[*\]:* | *.*:*)
	echo "the endpoint $endpoint has a port, but has to serve several"
	exit 1
	;;
esac
# A name with a port has one colon, an address of IPv6 at least two.
case $endpoint in
*:*:*) ;;
*:*)
	echo "the endpoint $endpoint has a port, but has to serve several"
	exit 1
	;;
esac
{{- if or (eq .Role.Name "agent") (eq .Role.Name "public-agent") }}
if ! address=$(getent ahosts "$endpoint"); then
	echo "the endpoint $endpoint is not known to this host"
	exit 1
fi
echo "the endpoint $endpoint is at ${address%% *}"
{{- else }}
echo "the endpoint is $endpoint"
{{- end }}
{{- end }}
