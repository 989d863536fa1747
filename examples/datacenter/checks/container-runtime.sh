#!/bin/sh
# Not installed, installed but stopped, and too old are three things, and each is told as what it is.
runtime={{ .Param.container_runtime }}
least={{ .Param.container_runtime_min_version }}
{{- if eq .Param.container_runtime "none" }}
echo "not asked for (container_runtime: $runtime, from $least on)"
{{- else }}
if ! command -v "$runtime" >/dev/null 2>&1; then
	echo "$runtime is not installed: there is no such command in $PATH"
	exit 2
fi
{{- if ne .Param.container_runtime "podman" }}
state=$(systemctl is-active "$runtime.service" 2>/dev/null)
if [ "$state" != active ]; then
	echo "$runtime is installed, but its service is ${state:-unknown to systemd}"
	systemctl status --no-pager --lines=5 "$runtime.service" 2>&1
	exit 2
fi
{{- end }}
said=$("$runtime" --version 2>&1)
version=$(printf '%s\n' "$said" | sed -n 's/^[^0-9]*\([0-9][0-9]*\(\.[0-9][0-9]*\)*\).*/\1/p' | sed -n 1p)
if [ -z "$version" ]; then
	echo "$runtime does not say its version"
	printf '%s\n' "$said"
	exit 3
fi
older=$(printf '%s\n%s\n' "$version" "$least" | sort -V | sed -n 1p)
if [ "$older" != "$least" ]; then
	echo "$runtime is version $version, at least $least is needed"
	exit 2
fi
echo "$runtime $version is installed and running"
{{- end }}
