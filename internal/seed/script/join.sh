# Run again, as at each boot, it leaves an installation alone, and a bootstrap agent that is there with it goes on by itself.
# One that an image brought was made for another instance.
installed() {
	[ -e "/opt/$cluster/current" ] && cmp -s "/opt/$cluster/instance" /var/lib/cloud/data/instance-id
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
	"$bin" launch "$work/seed" || fail "the bootstrap agent did not start, see above. $again"
}

main
