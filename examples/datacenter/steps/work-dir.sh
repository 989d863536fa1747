# What services keep, for root alone.
set -e
umask 077
work={{ with index .Param "work_dir" }}{{ . | shell }}{{ else }}{{ .Cluster.Data | shell }}/work{{ end }}
mkdir -p "$work"
for part in{{ if eq .Role.Name "master" }} store{{ else }} bus{{ end }}{{ if eq .Param.log_to "file" }} log{{ end }}; do
	if [ -L "$work/$part" ]; then
		echo "$work/$part is a link"
		exit 1
	fi
	mkdir -p "$work/$part"
	chmod 0700 "$work/$part"
done
echo "$work is there"
