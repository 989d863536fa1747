# Runs on the host with /bin/sh (dash, bash, busybox), as the login user, without a terminal. What precedes this text
# sets token, agent_size, agent_sha256, wire_size, packing, seed_size and time_limit. Standard input goes on with the
# seed and then the agent in wire_size bytes, packed if packing says how; wire_size 0 means that the host has it already.
# Then come words of the coordinator; the end of standard input means that it is gone. Everything is in functions and
# the call is the last line: a script that arrived in part does nothing.

installed=/var/lib/bootstrap-agent/bootstrap-agent

say() { printf "muster-push: %s\n" "$*"; }

fail() {
	say "failed $*"
	exit 1
}

# A shell runs its traps only between commands or in wait: so whatever may take long runs in the background.
run() {
	"$@" </dev/null &
	child=$!
	wait "$child"
	rc=$?
	child=
	return "$rc"
}

# What sudo started belongs to root, and only sudo can end it.
signal() {
	kill -s "$1" -- "$2" 2>/dev/null
	[ -z "$become" ] || $become kill -s "$1" -- "$2" 2>/dev/null
}

# The group $$ exists only if this shell leads it, so nothing else can be hit.
end_child() {
	signal TERM "$child"
	signal TERM "-$$"
	(
		sleep 5
		signal KILL "$child"
	) >/dev/null 2>&1 &
	killer=$!
	wait "$child"
	kill -s KILL "$killer" 2>/dev/null
}

leave() {
	trap "" HUP INT TERM PIPE
	trap - EXIT
	[ -z "$child" ] || end_child
	[ -z "$watch" ] || kill -s KILL "$watch" 2>/dev/null
	kill $timer 2>/dev/null
	[ -z "$dir" ] || rm -rf "$dir"
}

# The coordinator ends what takes too long; this is for the case that its word no longer gets through.
expire() {
	sleeper= stopped=
	trap 'stopped=1; [ -z "$sleeper" ] || kill "$sleeper"' TERM
	sleep "$time_limit" &
	sleeper=$!
	[ -z "$stopped" ] || kill "$sleeper"
	wait "$sleeper"
	[ -n "$stopped" ] || kill -s TERM "$$"
}

# Ends this shell as soon as standard input ends: the connection is gone. It is ended by KILL, because dash loses a signal
# that has a trap when it comes before the new process has run.
watch_input() {
	read -r ignored <&3
	kill -s TERM "$$"
}

choose_directory() {
	need=$(((agent_size + seed_size) / 1024 + 64))
	[ "$wire_size" -gt 0 ] || need=64
	full=
	why=
	for base in /var/tmp /tmp "$HOME" "/run/user/$(id -u)" /dev/shm; do
		# The path is said to the coordinator and comes back in a command, so it must need no quoting.
		case $base in
		/*[!A-Za-z0-9/._-]* | [!/]* | "") continue ;;
		esac
		if [ ! -d "$base" ] || [ ! -w "$base" ]; then
			why="$why$base can't be written to, "
			continue
		fi
		room=$(df -Pk "$base" 2>/dev/null | {
			read -r ignored
			read -r ignored ignored ignored room ignored
			echo "$room"
		})
		case $room in
		"" | *[!0-9]*) ;; # unknown: the upload will tell
		*)
			if [ "$room" -lt "$need" ]; then
				full=1
				why="$why$base has $room KiB free of $need, "
				continue
			fi
			;;
		esac
		# Known before it exists, so that a signal in between leaves nothing. The token is random: nobody can
		# have made it before, and mkdir follows no link.
		dir=$base/muster-push-$token
		if ! mkdir -m 700 "$dir" 2>/dev/null; then
			why="$why$base takes no directory, "
		elif ! printf "#!/bin/sh\nexit 0\n" >"$dir/probe"; then
			full=1
			why="$why$base takes no file, "
		elif ! chmod 700 "$dir/probe" || ! "$dir/probe" 2>/dev/null; then
			why="$why$base runs no programs (noexec), "
		else
			rm -f "$dir/probe"
			return 0
		fi
		rm -rf "$dir"
		dir=
	done
	[ -z "$full" ] || fail "no-space ${why%, }"
	fail "no-directory ${why%, }"
}

# busybox's head reads more than it prints, so it can only be used on what comes last; dd with blocks of one byte
# never takes more than it should, but is slow.
receive() {
	dd bs=1 count="$seed_size" of="$dir/seed" 2>/dev/null <&3 || return 1
	[ "$wire_size" -gt 0 ] || return 0
	case $packing in
	"") read_agent >"$dir/bootstrap-agent" ;;
	*) read_agent | "$packing" -dc >"$dir/bootstrap-agent" ;;
	esac
}

read_agent() {
	case $reader in
	head) head -c "$wire_size" <&3 ;;
	dd)
		rest=$((wire_size % 65536))
		{
			dd bs=65536 iflag=fullblock count="$((wire_size / 65536))" 2>/dev/null &&
				{ [ "$rest" -eq 0 ] || dd bs="$rest" iflag=fullblock count=1 2>/dev/null; }
		} <&3
		;;
	esac
}

choose_tools() {
	if [ "$(printf ab | head -c 1 2>/dev/null)" = a ]; then
		reader=head
	elif [ "$(printf ab | dd bs=1 iflag=fullblock count=1 2>/dev/null)" = a ]; then
		reader=dd
	else
		fail "missing-tool head -c"
	fi
	for tool in sha256sum mkdir chmod rm df id wc sleep; do
		command -v "$tool" >/dev/null || fail "missing-tool $tool"
	done
	become= tool=none
	if [ "$(id -u)" -ne 0 ]; then
		for tool in sudo doas ""; do
			! command -v "$tool" >/dev/null || break
		done
		[ -n "$tool" ] || fail "sudo-missing"
		sudo="$tool -n"
	fi
}

check_agent() {
	[ "$(wc -c <"$agent")" -eq "$agent_size" ] || fail "upload the bootstrap agent is incomplete"
	set -- $(sha256sum <"$agent")
	[ "$1" = "$agent_sha256" ] || fail "upload the bootstrap agent arrived with another SHA-256"
	chmod 700 "$agent" || fail "upload chmod failed"
}

# The coordinator may know sudo's password: it sends the word and then the password, each on a line. printf is the
# shell's own, so that no process ever has the password among its arguments.
launch_with_password() {
	read -r word <&3 && [ "$word" = password ] && IFS= read -r password <&3 || return 200
	printf "%s\n" "$password" | sudo -S -p "" "$agent" launch "$dir/seed"
}

main() {
	PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin
	become= sudo= dir= child= watch= timer=
	# Everything on one stream, so that what is said and what is printed stay in order.
	exec 2>&1 3<&0 </dev/null
	trap leave EXIT
	trap "exit 1" HUP INT TERM PIPE
	expire >/dev/null 2>&1 3<&- &
	timer=$!

	choose_tools
	choose_directory
	run receive || fail "upload the host could not store it"
	[ "$(wc -c <"$dir/seed")" -eq "$seed_size" ] || fail "upload the seed is incomplete"
	watch_input >/dev/null 2>&1 &
	watch=$!
	agent=$installed
	if [ "$wire_size" -gt 0 ]; then
		agent=$dir/bootstrap-agent
		check_agent
	fi

	say "starting"
	become=$sudo
	if run $sudo "$agent" launch "$dir/seed"; then
		leave
		say "done"
		exit 0
	fi
	became=$rc
	become=
	if [ "$wire_size" -gt 0 ] && ! run "$agent" version >/dev/null; then
		fail "cannot-run $rc"
	fi
	# The coordinator may know a password or want to try with a terminal; the directory stays until it closes standard
	# input. The watch must be gone, or it would take a word from the input.
	kill -s KILL "$watch" 2>/dev/null
	wait "$watch" 2>/dev/null
	watch=
	while :; do
		say "refused $became $dir $tool"
		if run launch_with_password; then
			leave
			say "done"
			exit 0
		fi
		became=$rc
		[ "$became" -ne 200 ] || exit 1
	done
}

main
