# shellcheck shell=bash disable=SC2034  # other parts use what is set here
# What every part of the lab uses: messages, markers, the lock, waiting.

STATE=${MUSTER_LAB_STATE:-/run/muster-lab}
CACHE=${MUSTER_LAB_CACHE:-/var/cache/muster-lab}
DISKS=${MUSTER_LAB_DISKS:-/var/lib/muster-lab}
LOCK=$STATE.lock
MARKER=.muster-lab

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
misuse() { say "$* (see: lab --help)"; exit 2; }

require_root() {
    (( EUID == 0 )) || die "namespaces, mounts and cgroups need root: run it with sudo"
}

# A directory belongs to the lab when it holds the lab's marker; one of the
# same name without it is somebody else's.
is_ours() { [[ -e $1/$MARKER ]]; }

claim_dir() {
    local dir=$1 variable=$2
    is_ours "$dir" && return
    if [[ -e $dir ]] && [[ ! -d $dir || -n $(ls -A "$dir") ]]; then
        die "$dir exists, and the lab did not make it: move it away, or choose another place with $variable"
    fi
    mkdir -p "$dir"
    echo "made by scripts/lab; 'lab down' and 'lab clean' remove it" >"$dir/$MARKER"
}

# One state-changing command at a time. `down` removes the lock file, so who
# gets the lock looks whether the file still has its name.
lock() {
    while :; do
        exec {LOCK_FD}>"$LOCK"
        flock -w 600 "$LOCK_FD" || die "another lab command has held $LOCK for 10 minutes: end it, then try again"
        [[ $LOCK -ef /proc/self/fd/$LOCK_FD ]] && return
        exec {LOCK_FD}>&-
    done
}

unlock() {
    flock -u "$LOCK_FD"
    exec {LOCK_FD}>&-
}

# Neither the lock nor a caller's pipe may live as long as a host or a service of the lab.
close_descriptors() {
    local fd
    for fd in "/proc/$BASHPID/fd"/*; do
        fd=${fd##*/}
        if (( fd > 2 && fd != 255 )); then exec {fd}>&-; fi   # 255 is bash's own
    done
}

# wait_until SECONDS CMD...: whether CMD came true in time. Many wait at once
# while the hosts need the processor: it makes no process by itself, and looks
# less often the longer it takes.
wait_until() {
    local deadline=$(( SECONDS + $1 )) interval=20 pause never
    shift
    exec {never}<> <(:)   # a pipe from which nothing comes: `read -t` sleeps on it
    until "$@"; do
        if (( SECONDS > deadline )); then
            exec {never}>&-
            return 1
        fi
        printf -v pause '0.%03d' $interval
        read -r -t "$pause" -u "$never" || true
        kill -0 $$ 2>/dev/null || exit 1   # the command was killed: its jobs must not hold its caller's pipes
        (( interval >= 400 )) || interval=$(( interval * 5 / 4 ))
    done
    exec {never}>&-
}

# try CMD...: runs it, and leaves its exit code in STATUS. In a condition (`if
# CMD`, `CMD ||`) bash would ignore `set -e` within CMD; in a job it does not.
try() {
    STATUS=0
    "$@" &
    wait $! || STATUS=$?
}

# in_parallel CMD ITEM...: `CMD ITEM` for all items at once; STATUS is 1 if one fails.
in_parallel() {
    local command=$1 item job
    local -a jobs=()
    shift
    for item in "$@"; do
        "$command" "$item" &
        jobs+=($!)
    done
    STATUS=0
    for job in "${jobs[@]}"; do wait "$job" || STATUS=1; done
}
