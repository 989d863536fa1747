main() {
	umask 077
	work=
	get='get'
	trap leave EXIT
	trap 'exit 1' HUP INT TERM
	again="Then run: cloud-init single --name cc_scripts_user --frequency always"
	obtain_agent
	write_seed >"$work/seed"
	"$program" launch "$work/seed" || fail "the bootstrap agent did not start, see above. $again"
}

main
