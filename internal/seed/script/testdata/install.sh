#!/bin/sh
# Installs a host of the cluster demo by hand; `install.sh --help` says how. Made by `coordinator genconf`.
# Config id: 0123012301230123012301230123012301230123012301230123012301230123

cluster=demo
default_sources='http://10.77.0.1:8080 http://coordinator.example.com:8080'
agent_amd64='c891957a3ed4d5b7c5067a7311e8d35aa6728ca75f34715ccc8a39daf3e4c4a3 227'
agent_arm64='c891957a3ed4d5b7c5067a7311e8d35aa6728ca75f34715ccc8a39daf3e4c4a3 227'
signing=''
roles='master public-agent'

choose_manifest() {
	case $role in
	master) manifest=b8dccc7581cc1ff39f5ff852dbcf3ca54e2f9b8d8159bd4a846e9a7364a8fbbd manifest_size=18 ;;
	public-agent) manifest=b49dc86b895d9b9372b98bec1804c38f7e81fae914f2aa4de9fbe82d06d77e4b manifest_size=24 ;;
	*) return 1 ;;
	esac
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
	x86_64 | amd64) agent=$agent_amd64 ;;
	aarch64 | arm64) agent=$agent_arm64 ;;
	*) agent= ;;
	esac
	[ "$agent" ] || fail "there is no bootstrap agent for $(uname -m); use an amd64 or arm64 host"
	digest=${agent% *}
	size=${agent#* }
	has curl || has wget || has python3 || fail "install curl, wget or python3"
	has sha256sum || has python3 || fail "install sha256sum or python3"
}

# A fresh directory that has room for the agent, and from which programs may run: /tmp is often noexec.
pick_dir() {
	for base in ${MUSTER_WORK_DIR:-} /run /var/tmp /var/lib /tmp; do
		work=$(mktemp -d "$base/muster.XXXXXX" 2>/dev/null) || continue
		bin=$work/bootstrap-agent
		if printf '#!/bin/sh\n' >"$bin" && chmod 700 "$bin" && "$bin" &&
			dd if=/dev/zero of="$bin" bs=1024 count=$((size / 1024 + 64)); then
			return
		fi 2>/dev/null
		leave
	done
	fail "no directory has room for $size bytes and lets programs run; free space in /var/tmp, or set MUSTER_WORK_DIR"
}

# A tool that is there and fails may be broken; then the next one is tried. -T crashes the wget of Debian's static
# busybox, with exit code 139.
get() {
	has curl && curl -fsS --connect-timeout 10 --max-time 900 -o "$2" "$1" && return
	has wget && {
		$limit wget -q -T 20 -t 1 -O "$2" "$1" || { [ $? = 139 ] && $limit wget -q -O "$2" "$1"; }
	} && return
	has python3 && $limit python3 -c 'import sys, urllib.request as u
try: open(sys.argv[2], "wb").write(u.urlopen(sys.argv[1], timeout=20).read(int(sys.argv[3]) + 1))
except Exception as e: sys.exit(e)' "$1" "$2" "$size"
}

# No source can fill the disk: what is longer than the agent is cut off. The unit of ulimit is 512 bytes or 1 KiB.
download() (
	ulimit -f $((size / 512 + 1))
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

# Half of each wait is random, so that hosts that boot together do not come together.
obtain() {
	pick_agent
	pick_dir
	limit=
	! timeout 1 true 2>/dev/null || limit="timeout 900"
	try=1
	delay=2
	until try_all; do
		[ "$try" -lt "$tries" ] || fail "gave up after $try tries; see that this host reaches one of: $sources. $again"
		random=$(od -An -N2 -tu2 /dev/urandom 2>/dev/null) || random=$$
		pause=$((delay / 2 + random % (delay / 2 + 1)))
		say "try $try failed, the next one is in $pause s"
		sleep "$pause"
		try=$((try + 1))
		delay=$((delay < 16 ? delay * 2 : 30))
	done
}

usage() {
	cat <<END
Installs this host into the cluster $cluster, without a coordinator.

  install.sh ROLE [--preflight-only | --skip-preflight] [--secrets FILE] [--source URL]...
  install.sh --uninstall [--purge] [--source URL]...

ROLE is one of: $roles

  --preflight-only   only run the checks; nothing is changed
  --skip-preflight   install without checking first
  --secrets FILE     the role's secrets, from: coordinator secret export --role ROLE
  --uninstall        remove the installation; its data stays
  --purge            with --uninstall: remove the data, too
  --source URL       where this file and blobs/ lie: http://, https:// or a directory; can be repeated

Without --source, MUSTER_SOURCE is taken (several are separated by spaces), then the directory of this file,
then: $default_sources
END
}

wrong() {
	say "$*; see: install.sh --help"
	exit 2
}

add_source() {
	case $1 in
	http://* | https://* | /*) source=$1 ;;
	file:///*) source=${1#file://} ;;
	*) source=$(cd "$1" 2>/dev/null && pwd) || wrong "--source $1 is neither a URL nor a directory" ;;
	esac
	case $source in
	*[[:space:]*?\[]*) wrong "the source $1 has blanks or one of * ? [ in it; use another directory" ;;
	esac
	sources="$sources ${source%/}"
}

parse() {
	role=''
	preflight=''
	uninstall=''
	purge=''
	secrets=''
	sources=''
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--preflight-only | --skip-preflight)
			[ -z "$preflight" ] || [ "$preflight" = "$1" ] || wrong "$preflight and $1 exclude each other"
			preflight=$1
			;;
		--uninstall) uninstall=$1 ;;
		--purge) purge=$1 ;;
		--source)
			[ $# -ge 2 ] || wrong "--source needs a URL"
			shift
			add_source "$1"
			;;
		--secrets)
			[ $# -ge 2 ] || wrong "--secrets needs a file"
			shift
			secrets=$1
			;;
		--secrets=*) secrets=${1#--secrets=} ;;
		--source=*) add_source "${1#--source=}" ;;
		-*) wrong "unknown option $1" ;;
		*)
			[ -z "$role" ] || wrong "one role at a time, got $role and $1"
			role=$1
			;;
		esac
		shift
	done
	[ -z "$purge" ] || [ -n "$uninstall" ] || wrong "--purge goes with --uninstall"
	[ -z "$secrets" ] || [ -z "$uninstall" ] || wrong "--secrets and --uninstall exclude each other"
	[ -z "$preflight" ] || [ -z "$uninstall" ] || wrong "$preflight and --uninstall exclude each other"
	[ -n "$role" ] || [ -n "$uninstall" ] || wrong "say the role of this host, one of: $roles"
	[ -z "$role" ] || choose_manifest || wrong "unknown role $role; the roles are: $roles"
}

# Where this file lies, if it is a file: piped into a shell it has no place.
find_sources() {
	[ -z "$sources" ] || return 0
	for source in ${MUSTER_SOURCE:-}; do add_source "$source"; done
	[ -z "$sources" ] || return 0
	case ${0##*/} in
	install.sh)
		here=$(cd "$(dirname "$0")" && pwd)
		if [ -d "$here/blobs" ]; then
			add_source "$here"
			return
		fi
		;;
	esac
	sources=$default_sources
}

get_or_copy() {
	case $1 in
	/*) cp "$1" "$2" ;;
	*) get "$1" "$2" ;;
	esac
}

run_agent() {
	for source in $sources; do
		case $source in
		/*) source=file://$source ;;
		esac
		set -- "$@" --source "$source"
	done
	for word in $signing; do set -- "$@" "$word"; done
	"$bin" install --role "$role" --manifest "$manifest" --size "$manifest_size" "$@"
}

main() {
	work=''
	get='get_or_copy'
	tries=5
	again="Then run this script again."
	trap leave EXIT
	trap 'exit 1' HUP INT TERM
	parse "$@"
	[ "$(id -u)" = 0 ] || fail "must run as root; try: sudo sh install.sh $*"
	umask 077
	find_sources
	obtain
	# Not with exec: the traps are to clean up afterwards.
	if [ -n "$uninstall" ]; then
		"$bin" uninstall --cluster "$cluster" ${purge:+"$purge"}
	else
		run_agent ${preflight:+"$preflight"} ${secrets:+--secrets "$secrets"}
	fi
}

main "$@"
