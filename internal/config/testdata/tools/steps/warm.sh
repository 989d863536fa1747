#!/bin/sh
echo {{ .Param.theme }}
