#!/bin/sh
missing=0
found=0
look() {
	if [ -f "$2" ] && [ -s "$2" ]; then
		found=$((found + 1))
	else
		echo "$1: $2 is not a file, or is empty"
		missing=$((missing + 1))
	fi
}
{{- if ne .Role.Name "public-agent" }}{{ with index .Param "bus_tls" }}
look bus_tls.ca {{ .ca | shell }}
look bus_tls.certificate {{ .certificate | shell }}
look bus_tls.key {{ .key | shell }}
{{- end }}{{ end }}
{{- if eq .Role.Name "public-agent" }}{{ with index .Param "public_tls_certificate" }}
look public_tls_certificate {{ . | shell }}
{{- end }}{{ end }}
[ "$missing" = 0 ] || exit 2
echo "$found files"
