# 0 ok, 1 warning, 2 critical, 3 unknown; the first line is shown.
beat={{ .Cluster.Data }}/heartbeat/beat
[ -f "$beat" ] || { echo "no beat yet"; exit 2; }
age=$(($(date +%s) - $(cat "$beat")))
[ "$age" -le {{ .Param.max_age }} ] || { echo "the last beat was $age seconds ago"; exit 2; }
echo "the last beat was $age seconds ago"
