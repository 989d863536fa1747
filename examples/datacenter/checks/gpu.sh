#!/bin/sh
{{- if eq .Param.gpu "none" }}
echo "not asked for (gpu: none)"
{{- else }}
if ! command -v nvidia-smi >/dev/null 2>&1; then
	echo "the driver is not installed: there is no command nvidia-smi"
	exit 2
fi
if ! cards=$(nvidia-smi --list-gpus 2>&1); then
	echo "the driver does not answer"
	printf '%s\n' "$cards"
	exit 2
fi
echo "$(printf '%s\n' "$cards" | wc -l) processors for graphics"
printf '%s\n' "$cards"
{{- end }}
