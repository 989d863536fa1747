# The services' /etc/resolv.conf. It is beside the host's, which nobody changes here.
set -e
file=$MUSTER_DATA/names/resolv.conf
umask 022
{{- if index .Param "resolvers" }}
servers=
for server in{{ range .Param.resolvers }} {{ . | shell }}{{ end }}; do
	case $server in
	\[*\]:53)
		server=${server#\[}
		server=${server%\]:53}
		;;
	\[*\]:*) continue ;;
	*:*:*) ;; # an address of IPv6
	*:53) server=${server%:53} ;;
	*:*) continue ;;
	esac
	servers="$servers $server"
done
if [ -z "$servers" ]; then
	echo "none of the resolvers is on port 53"
	exit 1
fi
# In whole seconds, at least one.
timeout={{ div (add (duration .Param.dns_forward_timeout) 999999999) (duration "1s") }}
{
	for server in $servers; do echo "nameserver $server"; done
{{- with .Param.dns_search }}
	echo "search{{ range . }} {{ . }}{{ end }}"
{{- end }}
	echo "options timeout:$timeout attempts:{{ .Param.dns_attempts }}"
} >"$file.new"
{{- else }}
# cluster.yaml names no resolvers: the host's, with the domains of cluster.yaml.
{
	{{ if .Param.dns_search }}sed '/^[[:space:]]*\(search\|domain\)[[:space:]]/d' /etc/resolv.conf
	echo "search{{ range .Param.dns_search }} {{ . }}{{ end }}"{{ else }}cat /etc/resolv.conf{{ end }}
} >"$file.new"
{{- end }}
mv "$file.new" "$file"
echo "$(grep -c ^nameserver "$file" || true) name servers in $file"
