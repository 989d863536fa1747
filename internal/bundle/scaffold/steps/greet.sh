# Runs once on each host, as root, before the services start. It may be run again after a crash, so it must bear that.
echo "$(wc -l < "$MUSTER_GENERATION/etc/keepers") keepers are known to $MUSTER_HOST_NAME"
