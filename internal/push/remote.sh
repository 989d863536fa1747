# Runs on the host with /bin/sh (dash, bash, busybox), as the login user, without a terminal. What precedes this text
# sets token, agent_size, agent_sha256, blob, accept, way, wire_size, packing, time_limit, sources and seed. The way of the agent
# is "send": standard input goes on with it in wire_size bytes, packed if packing says how; "there": the host has it
# already; or curl, wget or python3: the host fetches it with that. If it can't, it says so, and the coordinator sends a
# line with wire_size and packing, and then the agent. Then come words of the coordinator; the end of standard input means
# that it is gone. Everything is in functions and the call is the last line: a script that arrived in part does nothing.
# Processes are what costs a small host most, so there are few.

installed=/var/lib/bootstrap-agent/bootstrap-agent
fetch_limit=$((time_limit / 3 + 1))
newline="
"

# What was printed before may lack the end of its line.
say() { printf "\nmuster-push: %s\n" "$*"; }

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

# Ends this shell as soon as standard input ends: the connection is gone.
watch_input() {
	read -r ignored <&3
	kill -s TERM "$$"
}

watch_begins() {
	[ -z "$watch" ] || return 0
	watch_input >/dev/null 2>&1 &
	watch=$!
}

# The watch must be gone before the coordinator is asked for something, or it would take it from the input. It is ended
# by KILL, because dash loses a signal that has a trap when it comes before the new process has run.
watch_ends() {
	kill -s KILL "$watch" 2>/dev/null
	wait "$watch" 2>/dev/null
	watch=
}

choose_directory() {
	need=$((agent_size / 1024 + 128))
	[ "$way" != there ] || need=128
	full=
	why=
	for base in /var/tmp /tmp "$HOME" "/run/user/$uid" /dev/shm; do
		# The path is said to the coordinator and comes back in a command, so it must need no quoting.
		case $base in
		/*[!A-Za-z0-9/._-]* | [!/]* | "") continue ;;
		esac
		if [ ! -d "$base" ] || [ ! -w "$base" ]; then
			why="$why$base can't be written to, "
			continue
		fi
		room=$(df -Pk "$base" 2>/dev/null)
		set -- ${room#*"$newline"}
		room=${4:-}
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
		elif ! printf "%s" "$seed" >"$dir/seed" || ! printf "#!/bin/sh\nexit 0\n" >"$dir/bootstrap-agent"; then
			full=1
			why="$why$base takes no file, "
		elif [ "$way" != there ] && { ! chmod 700 "$dir/bootstrap-agent" || ! "$dir/bootstrap-agent" 2>/dev/null; }; then
			why="$why$base runs no programs (noexec), "
		else
			seed=
			return 0
		fi
		rm -rf "$dir"
		dir=
	done
	[ -z "$full" ] || fail "no-space ${why%, }"
	fail "no-directory ${why%, }"
}

# What is longer than the agent is cut off, so that no source can fill the disk. The program comes in place of this
# function, so that it is what gets a signal. Proxies lead to other networks, and the coordinator is in this one.
get() {
	ulimit -c 0
	ulimit -f $((agent_size / 512 + 1))
	unset http_proxy https_proxy all_proxy ALL_PROXY
	exec >"$agent" 3<&-
	case $way in
	curl) exec curl -q -gfsS $accept --noproxy "*" --connect-timeout 3 --speed-limit 10000 --speed-time 5 --max-time "$fetch_limit" "$1" ;;
	wget) exec $limit wget -q $patience -O - "$1" ;;
	python3) exec $limit python3 -I -c "import sys, urllib.request as u
try: sys.stdout.buffer.write(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=3).read(int(sys.argv[2]) + 1))
except Exception as e: sys.exit(str(e))" "$1" "$agent_size" ;;
	esac
}

fetch() {
	why=
	limit= patience="-T 3 -t 1"
	# The others take any time, or don't know how to say how long.
	[ "$way" = curl ] || ! timeout 1 true 2>/dev/null || limit="timeout $fetch_limit"
	for source in $sources; do
		run get "$source/$blob"
		# -T crashes the wget of Debian's static busybox.
		if [ "$rc" -eq 139 ] && [ -n "$patience" ]; then
			patience=
			run get "$source/$blob"
		fi
		if [ "$rc" -ne 0 ]; then
			why="$why$source: $way ended with $rc, "
		elif genuine; then
			return 0
		else
			why="$why$source gives one with another SHA-256, "
		fi
	done
	return 1
}

# busybox's head reads more than it prints, so it can only be used on what comes last.
receive() {
	[ "$wire_size" -gt 0 ] || read -r wire_size packing <&3 || return 1
	case $packing in
	"") read_agent >"$agent" ;;
	*) read_agent | "$packing" -dc >"$agent" ;;
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

choose_reader() {
	if [ "$(printf ab | head -c 1 2>/dev/null)" = a ]; then
		reader=head
	elif [ "$(printf ab | dd bs=1 iflag=fullblock count=1 2>/dev/null)" = a ]; then
		reader=dd
	else
		fail "missing-tool head -c"
	fi
}

choose_tools() {
	for tool in sha256sum mkdir chmod rm df id wc sleep; do
		command -v "$tool" >/dev/null || fail "missing-tool $tool"
	done
	become= tool=none
	uid=$(id -u)
	if [ "$uid" -ne 0 ]; then
		for tool in sudo doas ""; do
			! command -v "$tool" >/dev/null || break
		done
		[ -n "$tool" ] || fail "sudo-missing"
		sudo="$tool -n"
	fi
}

genuine() {
	set -- $(sha256sum <"$agent")
	[ "$1" = "$agent_sha256" ]
}

accept() {
	choose_reader
	run receive || fail "upload the host could not store it"
	! genuine || return 0
	[ "$(wc -c <"$agent")" -eq "$agent_size" ] || fail "upload the bootstrap agent is incomplete"
	fail "upload the bootstrap agent arrived with another SHA-256"
}

obtain() {
	case $way in
	there) agent=$installed ;;
	send) accept ;;
	*)
		watch_begins
		! fetch || return 0
		watch_ends
		say "unfetched ${why%, }"
		accept
		;;
	esac
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
	agent=$dir/bootstrap-agent
	obtain
	watch_begins

	say "starting"
	become=$sudo
	if run $sudo "$agent" launch "$dir/seed"; then
		leave
		say "done"
		exit 0
	fi
	became=$rc
	become=
	if [ "$way" != there ] && ! run "$agent" version >/dev/null; then
		fail "cannot-run $rc"
	fi
	# The coordinator may know a password or want to try with a terminal; the directory stays until it closes standard
	# input.
	watch_ends
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
