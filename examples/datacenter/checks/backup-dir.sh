#!/bin/sh
{{- with index .Param "backup_dir" }}
dir={{ . | shell }}
if [ ! -d "$dir" ]; then
	echo "$dir is not a directory"
	exit 2
fi
echo "$dir is there"
{{- else }}
echo "not asked for (no backup_dir)"
{{- end }}
