#!/bin/sh
{{- if eq .Param.container_runtime "none" }}
echo "not asked for (container_runtime: none)"
{{- else }}
if grep -qw overlay /proc/filesystems; then
	echo "Linux has the overlay file system"
	exit 0
fi
# The module is loaded with the first mount. This looks, and loads nothing.
if modprobe --dry-run --quiet overlay 2>/dev/null; then
	echo "Linux can load the overlay file system"
	exit 0
fi
echo "Linux $(uname -r) has neither the overlay file system nor its module"
exit 2
{{- end }}
