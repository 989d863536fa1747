#!/bin/sh
# etcd with data from before does not look at its configured members: it would go on in its old cluster.
data={{ with index .Param "work_dir" }}{{ . | shell }}{{ else }}{{ .Cluster.Data | shell }}/work{{ end }}/store
if [ ! -d "$data/member" ]; then
	echo "no data in $data"
	exit 0
fi
if [ -e {{ .Cluster.Root | shell }}/current ]; then
	# An upgrade, or a second try: the data is this installation's own.
	echo "the data in $data belongs to this installation"
	exit 0
fi
echo "$data has the data of an earlier installation"
ls -ld "$data/member" "$data/member"/*
exit 1
