#!/bin/sh
# Joins the cluster demo. Holds a join token: keep it to yourself.
cluster=demo
sources=http://10.77.0.1:8080
tries=3800
agent_amd64='c891957a3ed4d5b7c5067a7311e8d35aa6728ca75f34715ccc8a39daf3e4c4a3 227'
agent_arm64='c891957a3ed4d5b7c5067a7311e8d35aa6728ca75f34715ccc8a39daf3e4c4a3 227'
again='Then run: cloud-init single -n scripts_user --frequency always'
write_seed() {
cat <<'SEED'
{"format":1,"cluster":"demo","coordinators":["10.77.0.1:8443"],"ca":"-----BEGIN CERTIFICATE-----\nMIIBVjCB/aADAgECAgEBMAoGCCqGSM49BAMCMBIxEDAOBgNVBAMTB1Rlc3QgQ0Ew\nIBcNMjMxMTE0MjIxMzIwWhgPMjA5NjEwMDIwNzA2NDBaMBIxEDAOBgNVBAMTB1Rl\nc3QgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARAmKOxTLc+wo1TZ/yCEBw3\nbv39GDJnl0daojE6eUmZjXuFp3OlG4rliXxzFH7EWfeZu8gR8J64hbSvSm+TApaL\no0IwQDAOBgNVHQ8BAf8EBAMCAgQwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU\nDvsv9VuE3rrZIWUdsuGQemlVLsAwCgYIKoZIzj0EAwIDSAAwRQIgedNYeA+BFf2S\ndw27XduEmG5f8m3hUCKQihNqGehzKpMCIQDIAswLPtzCntY/vY9JS9EHxBBdKUeY\ne2hEZCMDcUZfPA==\n-----END CERTIFICATE-----\n","token":"mt1.abcdefghijkl.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","sources":["http://10.77.0.1:8080"],"address":{},"labels":{"rack":"'\"$(touch /tmp/x)\"' \\ %s","zone":"a"}}
SEED
}
say() { echo "muster: $*" >&2; }
fail() {
say "$*"
exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
leave() { rm -rf "$work"; }
pick_agent() {
case $(uname -m) in
x86_64|amd64) agent=$agent_amd64;;
aarch64|arm64) agent=$agent_arm64;;
*) agent=;;
esac
[ "$agent" ]||fail "there is no bootstrap agent for $(uname -m); use an amd64 or arm64 host"
digest=${agent% *}
size=${agent#* }
has curl||has wget||has python3||fail "install curl, wget or python3"
has sha256sum||has python3||fail "install sha256sum or python3"
}
pick_dir() {
for base in ${MUSTER_WORK_DIR:-} /run /var/tmp /var/lib /tmp; do
work=$(mktemp -d "$base/muster.XXXXXX" 2>/dev/null)||continue
bin=$work/bootstrap-agent
if printf '#!/bin/sh\n' >"$bin"&&chmod 700 "$bin"&&"$bin" &&
dd if=/dev/zero of="$bin" bs=1024 count=$((size/1024+64)); then
return
fi 2>/dev/null
leave
done
fail "no directory has room for $size bytes and lets programs run; free space in /var/tmp, or set MUSTER_WORK_DIR"
}
get() {
has curl&&curl -fsS --connect-timeout 10 --max-time 900 -o "$2" "$1"&&return
has wget&&{
$limit wget -q -T 20 -t 1 -O "$2" "$1"||{ [ $? = 139 ]&&$limit wget -q -O "$2" "$1"; }
}&&return
has python3&&$limit python3 -c 'import sys, urllib.request as u
try: open(sys.argv[2], "wb").write(u.urlopen(sys.argv[1], timeout=20).read(int(sys.argv[3])+1))
except Exception as e: sys.exit(e)' "$1" "$2" "$size"
}
download() (
ulimit -f $((size/512+1))
$get "$1/blobs/$(printf %.2s "$digest")/$digest" "$bin"
)
verified() {
if has sha256sum; then
sum=$(sha256sum <"$bin")
else
sum=$(python3 -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$bin")
fi
[ "${sum%% *}" = "$digest" ]
}
try_all() {
for source in $sources; do
if ! download "$source"; then
say "$source does not give the bootstrap agent"
elif verified; then
chmod 700 "$bin"
return
else
say "$source gives one with another SHA-256; it is not run"
fi
done
return 1
}
obtain() {
pick_agent
pick_dir
limit=
! timeout 1 true 2>/dev/null||limit="timeout 900"
try=1
delay=2
until try_all; do
[ "$try" -lt "$tries" ]||fail "gave up after $try tries; see that this host reaches one of: $sources. $again"
random=$(od -An -N2 -tu2 /dev/urandom 2>/dev/null)||random=$$
pause=$((delay/2+random%(delay/2+1)))
say "try $try failed, the next one is in $pause s"
sleep "$pause"
try=$((try+1))
delay=$((delay<16?delay*2:30))
done
}
installed() {
[ -e "/opt/$cluster/current" ]&&cmp -s "/opt/$cluster/instance" /var/lib/cloud/data/instance-id
}
main() {
umask 077
work=
get='get'
trap leave EXIT
trap 'exit 1' HUP INT TERM
if installed; then
say "$cluster is installed"
return
fi
obtain
write_seed >"$work/seed"
"$bin" launch "$work/seed"||fail "the bootstrap agent did not start, see above. $again"
}
main
