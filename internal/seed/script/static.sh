main() {
	umask 077
	work=
	get='get'
	trap leave EXIT
	trap 'exit 1' HUP INT TERM
	obtain
	set --
	for source in $sources; do set -- "$@" --source "$source"; done
	for word in $signing; do set -- "$@" "$word"; done
	"$bin" install --role "$role" --manifest "$manifest" --size "$manifest_size" "$@" ||
		fail "the installation failed, see above. $again"
}

main
