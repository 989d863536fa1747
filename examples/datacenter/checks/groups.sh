#!/bin/sh
missing=
for group in{{ range .Param.required_groups }} {{ . | shell }}{{ end }}; do
	getent group "$group" >/dev/null || missing="$missing $group"
done
if [ -n "$missing" ]; then
	echo "missing:$missing"
	exit 2
fi
echo "{{ len .Param.required_groups }} groups are asked for, all exist"
