#!/bin/sh
echo "ready as {{ .Host.Name }}"
