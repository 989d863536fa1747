main() {
	umask 077
	work=
	get='get'
	trap leave EXIT
	trap 'exit 1' HUP INT TERM
	again="Then run: cloud-init single --name cc_scripts_user --frequency always"
	obtain_agent
	set --
	for source in $sources; do set -- "$@" --source "$source"; done
	for word in $signing; do set -- "$@" "$word"; done
	"$program" install --role "$role" --manifest "$manifest" --size "$manifest_size" "$@" ||
		fail "the installation failed, see above. $again"
}

main
