#!/bin/sh
{{- if .Param.check_time }}
# Whoever synchronises the clock tells the kernel, so it does not matter which program it is.
if said=$(timedatectl show -p NTPSynchronized --value 2>&1) && [ "$said" = yes ]; then
	echo "the clock is synchronised"
	exit 0
fi
echo "the clock is not synchronised (timedatectl: ${said:-no answer})"
exit {{ if eq .Param.security "strict" }}2{{ else }}1{{ end }}
{{- else }}
echo "not asked for (check_time: false)"
{{- end }}
