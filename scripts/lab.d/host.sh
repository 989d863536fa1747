# shellcheck shell=bash disable=SC2153  # IMAGE, DISKS: set by other parts
# One host: its disk, its cgroup, its life.
#
#   $STATE/hostI    what it was made with (files of one value each), console.log,
#                   known_host, and `partitioned` while its link is cut
#   $DISKS/hostI    disk/{upper,work,ready} and the mount point root
#   cgroup          muster-lab/hostI/{loop,os,exec}

UNIFIED=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
LEGACY=(systemd cpu cpuacct pids freezer)   # on hybrid machines, for limits and nspawn
BOOT_LIMIT=${MUSTER_LAB_WAIT:-60}           # seconds, and two more per host

state() { echo "$STATE/host$1"; }
disk() { echo "$DISKS/host$1"; }
cgroup() { echo "$UNIFIED/muster-lab/host$1"; }
setting() { cat "$(state "$1")/$2" 2>/dev/null || true; }   # setting I NAME

exists() { [[ -d $(state "$1") ]]; }
must_exist() { exists "$1" || die "there is no host$1: make it with 'lab boot $1' or 'lab up $1'"; }
must_run() { must_exist "$1"; is_running "$1" || die "host$1 is down: boot it with 'lab restart $1'"; }

# All hosts of which there is any trace, also after a crash of the lab.
all_hosts() {
    {
        ls "$STATE" "$DISKS" "$UNIFIED/muster-lab" /run/netns 2>/dev/null || true
    } | sed -nE 's/^(muster-)?host([0-9]+)$/\2/p' | sort -nu
}

# --- cgroups -------------------------------------------------------------
# A process is the lab's when it is in the lab's cgroup: no pid is recorded,
# so none can be mistaken.

legacy_cgroups() {   # legacy_cgroups I
    local name
    for name in "${LEGACY[@]}"; do
        if [[ -d /sys/fs/cgroup/$name && $UNIFIED != /sys/fs/cgroup ]]; then echo "/sys/fs/cgroup/$name/muster-lab/host$1"; fi
    done
}

# join_cgroup I loop|os|exec: the calling shell, with all that it starts.
join_cgroup() {
    local dir
    for dir in $(legacy_cgroups "$1") "$(cgroup "$1")/$2"; do
        mkdir -p "$dir"
        echo "$BASHPID" >"$dir/cgroup.procs"
    done
}

is_running() {
    local key value=0
    # `populated` is the first line. Without a process, as many wait for it.
    { read -r key value <"$UNIFIED/muster-lab/host$1/cgroup.events"; } 2>/dev/null
    [[ ${key:-} == populated && $value == 1 ]]
}
is_stopped() { ! is_running "$1"; }
is_frozen() { grep -qs '^frozen 1' "$(cgroup "$1")/os/cgroup.events"; }
freeze_host() { echo 1 >"$(cgroup "$1")/os/cgroup.freeze"; wait_until 10 is_frozen "$1" || die "host$1 does not freeze"; }
thaw_host() { echo 0 >"$(cgroup "$1")/os/cgroup.freeze"; }

# rmdir of what is empty only: of a cgroup in use nothing is lost.
remove_cgroup() {
    if [[ -d $1 ]]; then find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
}

remove_cgroups() {   # remove_cgroups I
    local dir
    for dir in $(legacy_cgroups "$1") "$(cgroup "$1")"; do remove_cgroup "$dir"; done
}

# The host's PID 1 as seen from here: the process one pid namespace below ours that is 1 there.
leader() {
    local depth
    depth=$(awk '/^NSpid:/ { print NF }' /proc/self/status)
    find "$(cgroup "$1")/os" -name cgroup.procs -exec cat {} + 2>/dev/null |
        sed 's|.*|/proc/&/status|' | xargs -r cat 2>/dev/null |
        awk -v fields=$(( depth + 1 )) '/^NSpid:/ && NF == fields && $NF == 1 { print $(NF - 1) }' || true
}

# --- disk ----------------------------------------------------------------

attach_disk() {
    local host=$1 disk size image
    disk=$(disk "$host") size=$(setting "$host" disk) image=$(setting "$host" image)
    [[ -d $image ]] || die "the image of host$host, $image, is gone: run 'lab down', then 'lab up'"
    mkdir -p "$disk/disk" "$disk/root"
    if [[ -n $size ]] && ! mountpoint -q "$disk/disk"; then
        mount -t tmpfs -o "size=$size,mode=755" muster-lab "$disk/disk"
    fi
    # Without its `ready` the disk is new, or its making was cut short.
    if [[ ! -e $disk/disk/ready ]]; then
        detach "$disk/root"
        rm -rf "$disk/disk/upper" "$disk/disk/work"
    fi
    if ! mountpoint -q "$disk/root"; then
        mkdir -p "$disk/disk/upper" "$disk/disk/work"
        [[ -e $disk/disk/ready || -z $(setting "$host" image-of) ]] || copy_disk "$(setting "$host" image-of)" "$disk/disk/upper"
        # redirect_dir: directories of the image can be renamed, as on any disk.
        mount -t overlay -o "lowerdir=$image,upperdir=$disk/disk/upper,workdir=$disk/disk/work,redirect_dir=on" muster-lab "$disk/root"
    fi
    if [[ ! -e $disk/disk/ready ]]; then
        give_identity "$host" "$disk/root"
        touch "$disk/disk/ready"
    fi
    echo "host$host,$(address "$host") $(cut -d' ' -f1,2 "$disk/root/etc/ssh/ssh_host_ed25519_key.pub")" >"$(state "$host")/known_host"
}

# With all that overlayfs keeps in attributes. Both stand on the same image.
copy_disk() {   # copy_disk FROM DIRECTORY
    must_exist "$1"
    is_stopped "$1" || die "host$1 is up: an image is made of a host that is down ('lab kill $1')"
    cp -a "$(disk "$1")/disk/upper/." "$2"
}

# An image of another host has that host's machine-id, as images do; only what would keep the lab from the host is new.
give_identity() {
    local host=$1 root=$2 user_data seed=$2/var/lib/cloud/seed/nocloud
    user_data=$(state "$host")/user-data
    echo "host$host" >"$root/etc/hostname"
    printf '127.0.0.1\tlocalhost\n%s\thost%s\n' "$(address "$host")" "$host" >"$root/etc/hosts"
    [[ -n $(setting "$host" image-of) ]] || tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    rm -f "$root"/etc/ssh/ssh_host_ed25519_key*
    ssh-keygen -q -t ed25519 -N '' -C "root@host$host" -f "$root/etc/ssh/ssh_host_ed25519_key"
    install -m 600 -o 1000 -g 1000 "$STATE/key.pub" "$root/home/admin/.ssh/authorized_keys"
    if [[ $(setting "$host" requiretty) == yes ]]; then
        (umask 337; echo 'Defaults requiretty' >"$root/etc/sudoers.d/requiretty")
    fi
    if [[ $(setting "$host" ec2) == yes ]]; then
        # What cloud-init finds out is for systemd-networkd to do.
        chroot "$root" systemctl --quiet enable systemd-networkd.service
        printf 'datasource_list: [Ec2]\ndatasource: {Ec2: {max_wait: 60, timeout: 5}}\n' >"$root/etc/cloud/cloud.cfg.d/95-ec2.cfg"
        printf 'ec2%s\n' "$(cut -c4- /proc/sys/kernel/random/uuid)" >"$(state "$host")/hypervisor-uuid"
    elif [[ $(setting "$host" kind) == cloud-init ]]; then
        mkdir -p "$seed"
        cp "$user_data" "$seed/user-data"
        printf 'instance-id: i-host%s-%s\nlocal-hostname: host%s\n' "$host" "$(cut -c1-8 /proc/sys/kernel/random/uuid)" "$host" >"$seed/meta-data"
        printf 'version: 2\nethernets:\n  eth0:\n    addresses: [%s/24]\n' "$(address "$host")" >"$seed/network-config"
    else
        touch "$root/etc/cloud/cloud-init.disabled"
    fi
}

detach() {   # detach MOUNTPOINT
    mountpoint -q "$1" || return 0
    wait_until 3 umount "$1" 2>/dev/null && return
    say "$1 is in use by somebody outside the host; detaching it all the same"
    umount -l "$1"
}

# --- making --------------------------------------------------------------

# The options of this call for host I, compared with what an existing host was
# made with: an existing host is left alone, but never silently other than asked for.
check_settings() {
    local host=$1 have
    have=$(setting "$host" kind)
    [[ -z ${LIGHT[$host]:-} || $have == light ]] || refuse_change "$host" --no-systemd
    [[ -z ${REQUIRETTY[$host]:-} || $(setting "$host" requiretty) == yes ]] || refuse_change "$host" --requiretty
    [[ -z ${DISK[$host]:-} || $(setting "$host" disk) == "${DISK[$host]}" ]] || refuse_change "$host" --disk
    [[ -z ${EC2[$host]:-} || $(setting "$host" ec2) == yes ]] || refuse_change "$host" --ec2
    [[ -z ${IMAGE_OF[$host]:-} || $(setting "$host" image-of) == "${IMAGE_OF[$host]}" ]] || refuse_change "$host" --image-of
    [[ -z ${USER_DATA[$host]:-} ]] || cmp -s "${USER_DATA[$host]}" "$(state "$host")/user-data" || refuse_change "$host" --user-data
}
refuse_change() { die "host$1 exists and was made without this $2: remove it with 'lab down $1', then try again"; }

create_host() {
    local host=$1 new kind=systemd
    refuse_foreign_network "$host"
    remove_host "$host"   # what a crash may have left
    if [[ -e $(disk "$host") ]]; then die "$(disk "$host") exists, and the lab cannot remove it"; fi
    [[ -z ${LIGHT[$host]:-} ]] || kind=light
    [[ -z ${USER_DATA[$host]:-}${EC2[$host]:-} ]] || kind=cloud-init
    # Renamed when complete, so that no half-made host is ever seen.
    new=$STATE/new-host$host
    rm -rf "$new"
    mkdir "$new"
    echo "$kind" >"$new/kind"
    echo "$IMAGE" >"$new/image"
    [[ -z ${REQUIRETTY[$host]:-} ]] || echo yes >"$new/requiretty"
    [[ -z ${EC2[$host]:-} ]] || echo yes >"$new/ec2"
    [[ -z ${IMAGE_OF[$host]:-} ]] || echo "${IMAGE_OF[$host]}" >"$new/image-of"
    [[ -z ${DISK[$host]:-} ]] || echo "${DISK[$host]}" >"$new/disk"
    [[ -z ${USER_DATA[$host]:-} ]] || cp "${USER_DATA[$host]}" "$new/user-data"
    mv "$new" "$(state "$host")"
}

# start_host I: exists and has begun to boot when this returns.
start_host() {
    local host=$1
    if exists "$host"; then check_settings "$host"; else create_host "$host"; fi
    is_running "$host" && return
    attach_disk "$host"
    build_host_network "$host"
    mkdir -p "$(cgroup "$host")/loop" "$(cgroup "$host")/os"
    # setsid: no signal of the caller's terminal reaches the host.
    setsid "$LAB" _run_host "$host" </dev/null >>"$(state "$host")/console.log" 2>&1 &
    echo $! >"$(cgroup "$host")/loop/cgroup.procs"   # from here on it is_running
}

# The loop that is the host's power supply. It runs as a process of its own.
run_host() {
    local host=$1 boots=0
    cd /
    close_descriptors
    join_cgroup "$host" loop
    while :; do
        printf '\n--- host%s starts ---\n' "$host"
        remove_cgroup "$(cgroup "$host")/os"
        echo $(( ++boots )) >"$(state "$host")/boots"   # its network is there, if not yet its sshd
        try run_os "$host"
        (( STATUS == 133 || STATUS == 129 )) || break   # nspawn's word for "reboot", and a light host's
        build_host_network "$host"
    done
    printf '\n--- host%s ended: %s ---\n' "$host" "$STATUS"
    remove_host_network "$host"
}

run_os() {
    local host=$1 root
    local -a more=()
    root=$(disk "$host")/root
    join_cgroup "$host" os
    [[ $(setting "$host" ec2) != yes ]] || more+=("--bind-ro=$(state "$host")/hypervisor-uuid:/sys/hypervisor/uuid")
    if [[ $(setting "$host" kind) == light ]]; then
        exec nsenter --net="/run/netns/$(namespace "$host")" \
            unshare --mount --pid --uts --ipc --cgroup --fork --kill-child "$LAB" _enter_light "$host" "$root"
    fi
    # Both --register=no and --keep-unit, as there is no systemd outside;
    # API_VFS_WRITABLE=network, or net.* sysctls are read-only inside.
    exec env -i --default-signal PATH="$PATH" SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network SYSTEMD_NSPAWN_TMPFS_TMP=0 \
        systemd-nspawn --quiet --boot --directory="$root" --machine="muster-host$host" --hostname="host$host" \
        --register=no --keep-unit --network-namespace-path="/run/netns/$(namespace "$host")" \
        --capability=CAP_NET_ADMIN,CAP_NET_RAW --resolv-conf=off --timezone=off --link-journal=no --console=read-only "${more[@]}" \
        systemd.show_status=yes   # on the console: what a host that does not come was doing
}

# PID 1 of a light host: the file systems a host needs, then sshd and a shell
# that reaps. It runs in its new namespaces.
enter_light() {
    local host=$1 root=$2 device
    echo "host$host" >/proc/sys/kernel/hostname
    cd "$root" || return
    mount -t proc -o nosuid,nodev,noexec proc proc
    mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys   # it is the machine's
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
    mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
    mount -t tmpfs -o mode=755,nosuid tmpfs dev
    mkdir -p dev/pts dev/shm run/sshd run/lock
    mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
    for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"; done
    mknod -m 666 dev/tty c 5 0
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s fd/0 dev/stdin
    ln -s fd/1 dev/stdout
    ln -s fd/2 dev/stderr
    # pivot_root onto itself and off with what is beneath: nothing of the outside is left.
    pivot_root . .
    umount -l .
    exec "${HOST_ENV[@]}" setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio \
        /bin/sh -c '/usr/sbin/sshd -D -e & while :; do sleep 86400; done'
}

# --- waiting -------------------------------------------------------------

ssh_options() {
    SSH=(ssh -F none -i "$STATE/key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes
        -o UserKnownHostsFile="$STATE/known_hosts" -o LogLevel=ERROR -o ConnectTimeout=5)
}

logs_in() {
    # A look at the port costs a hundredth of a login.
    { { :; } <"/dev/tcp/10.77.0.$(( 10 + $1 ))/22"; } 2>/dev/null &&
        timeout 20 "${SSH[@]}" "admin@$(address "$1")" true </dev/null >/dev/null 2>&1
}
logs_in_or_ended() { logs_in "$1" || is_stopped "$1"; }

# wait_for_login I...: deadline for all; who did not come is named, with its console's end.
wait_for_logins() {
    local limit=$(( BOOT_LIMIT + 2 * $# ))
    in_parallel wait_for_login "$@"
    (( ! STATUS )) || exit 1
}
wait_for_login() {
    if [[ -e $(state "$1")/partitioned ]]; then
        say "host$1 is partitioned; not waiting for it"
    elif ! wait_until "$limit" logs_in_or_ended "$1"; then
        complain "$1" "did not answer ssh within $limit s"
    elif is_stopped "$1"; then
        complain "$1" "ended while booting"
    fi
}
complain() {
    say "host$1 $2; the end of $(state "$1")/console.log:"
    tail -n 15 "$(state "$1")/console.log" | tr -d '\r' | sed "s/^/host$1| /" >&2
    return 1
}

write_known_hosts() {
    cat "$STATE"/host*/known_host >"$STATE/known_hosts.new" 2>/dev/null || true
    mv "$STATE/known_hosts.new" "$STATE/known_hosts"
}

# --- within --------------------------------------------------------------

HOST_ENV=(env -i --default-signal PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)

# exec_in_host I CMD...: the calling shell becomes CMD, as root in the host.
exec_in_host() {
    local host=$1 pid
    shift
    pid=$(leader "$host")
    [[ -n $pid ]] || die "host$host is between two boots: try again"
    join_cgroup "$host" exec   # so that it ends with the host
    exec nsenter --target "$pid" --mount --pid --net --uts --ipc --cgroup --root --wd \
        "${HOST_ENV[@]}" HOME=/root TERM="${TERM:-dumb}" "$@"
}

declare -A BOOTS=()   # by host: its boots before this reboot

# A host that is just booting does not take the order at first.
order_reboot() {
    wait_until 30 ask_to_reboot "$1" || complain "$1" "did not take the order to reboot within 30 s"
}
ask_to_reboot() {
    if [[ $(setting "$1" kind) == light ]]; then
        # No init to ask: the kernel kills all in the pid namespace, this command too.
        (exec_in_host "$1" systemctl reboot --force --force) 2>/dev/null || (( $? == 137 ))
    else
        (exec_in_host "$1" systemctl reboot) 2>/dev/null
    fi
}

has_rebooted() {
    local boots
    read -r boots <"$STATE/host$1/boots"
    [[ $boots != "${BOOTS[$1]}" ]] || is_stopped "$1"
}
wait_for_reboot() { wait_until 120 has_rebooted "$1" || complain "$1" "did not go down within 120 s"; }

# --- ending --------------------------------------------------------------

# As by pulling the plug: the link first, so that no FIN tells the others.
pull_plug() {
    set_link "$1" down
    if is_running "$1"; then echo 1 >"$(cgroup "$1")/cgroup.kill"; fi
}

kill_host() {
    with_link_locked "$1" pull_plug "$1"
    if is_running "$1"; then
        wait_until 20 is_stopped "$1" || die "host$1 does not die; its processes: $(find "$(cgroup "$1")" -name cgroup.procs -exec cat {} + | tr '\n' ' ')"
    fi
    remove_host_network "$1"
    remove_cgroups "$1"
}

# Everything of a host. What is not the lab's is left where it is.
remove_host() {
    local lock
    kill_host "$1"
    if is_ours "$DISKS"; then
        # nspawn leaves its lock, named after the root, and a directory.
        lock=$(stat -c 'inode-%d:%i' "$(disk "$1")/root" 2>/dev/null) || lock=
        rm -rf "/run/systemd/nspawn/propagate/muster-host$1" "/run/systemd/nspawn/locks/${lock:-none}"
        detach "$(disk "$1")/root"
        detach "$(disk "$1")/disk"
        rm -rf --one-file-system "$(disk "$1")"
    fi
    rm -rf --one-file-system "$(state "$1")"
}
