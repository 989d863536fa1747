#!/bin/sh
echo "answers on {{ .Host.Address }}:{{ .Param.port }}"
