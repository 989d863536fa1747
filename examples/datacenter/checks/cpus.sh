#!/bin/sh
have=$(nproc) || exit 3
echo "$have processors, {{ .Param.min_cpus }} are wanted"
[ "$have" -ge {{ .Param.min_cpus }} ] || exit 1
