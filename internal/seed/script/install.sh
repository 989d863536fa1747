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
