# shellcheck shell=bash disable=SC2034  # other parts use what is set here
# The private network: one bridge, and per host a namespace with a veth pair to it.

BRIDGE=muster0
BRIDGE_ADDRESS=10.77.0.1
MAX_HOSTS=200

# The lab's links are known by their hardware addresses ("Must" in ASCII),
# which a link gets in the same call that makes it. They are the same in every
# boot, so that no neighbour's ARP entry goes stale.
MAC=02:4d:75:73

address() { echo "10.77.0.$(( 10 + $1 ))"; }
namespace() { echo "muster-host$1"; }
outer_link() { echo "muster-h$1"; }
mac() { printf '%s:%s:%02x' "$MAC" "$1" "$2"; }   # mac 74 I: inside; mac 75 I: the bridge's end

link_exists() { [[ -e /sys/class/net/$1 ]]; }
link_is_ours() { [[ $(<"/sys/class/net/$1/address") == "$MAC":* ]]; }

ensure_network() {
    local other
    if link_exists $BRIDGE; then
        link_is_ours $BRIDGE ||
            die "there is a link $BRIDGE that the lab did not make: remove it (ip link del $BRIDGE) or rename it, then try again"
    else
        other=$(ip -o -4 addr show to 10.77.0.0/24 | awk '{ print $2; exit }')
        [[ -z $other ]] || die "$other has an address in 10.77.0.0/24, the lab's network: take it away, then try again"
        ip link add $BRIDGE address "$(mac 74 0)" type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    fi
    ip addr replace $BRIDGE_ADDRESS/24 dev $BRIDGE
    ip link set $BRIDGE up
    # `ip netns add` would do this itself, but not twice at once.
    if ! mountpoint -q /run/netns; then
        mkdir -p /run/netns
        mount --bind /run/netns /run/netns
        mount --make-shared /run/netns
        touch "$STATE/made-run-netns"
    fi
}

remove_bridge() {
    if link_exists $BRIDGE && link_is_ours $BRIDGE; then ip link del $BRIDGE; fi
    if [[ -e $STATE/made-run-netns ]] && mountpoint -q /run/netns && [[ -z $(ls /run/netns) ]]; then
        umount /run/netns && rmdir /run/netns
    fi
}

# A namespace is the lab's when the lab has a record or a disk of the host, or
# when its eth0 has the lab's address (the others may be lost).
namespace_is_ours() {
    [[ -d $STATE/host$1 || -e $DISKS/$MARKER && -d $DISKS/host$1 ]] || [[ $(ip -n "$(namespace "$1")" link show eth0 2>/dev/null) == *"$(mac 74 "$1")"* ]]
}

refuse_foreign_network() {
    local ns link
    ns=$(namespace "$1") link=$(outer_link "$1")
    if [[ -e /run/netns/$ns ]] && ! namespace_is_ours "$1"; then
        die "there is a network namespace $ns that the lab did not make: remove it (ip netns del $ns), then try again"
    fi
    if link_exists "$link" && ! link_is_ours "$link"; then
        die "there is a link $link that the lab did not make: remove it (ip link del $link), then try again"
    fi
}

# Faults of a link and its rebuilding at a reboot must not cross.
with_link_locked() {
    local host=$1
    shift
    (
        [[ ! -d $STATE/host$host ]] || { exec 9>>"$STATE/host$host/link.lock" && flock 9; }
        "$@"
    )
}

# A new namespace at every boot, as nothing of a host's network outlives a reboot.
build_host_network() { with_link_locked "$1" _build_host_network "$1"; }
_build_host_network() {
    local host=$1 ns link
    ns=$(namespace "$host") link=$(outer_link "$host")
    remove_host_network "$host"
    ip netns add "$ns"
    ip link add "$link" address "$(mac 75 "$host")" type veth peer name eth0 address "$(mac 74 "$host")" netns "$ns"
    ip -n "$ns" link set lo up
    # An instance of a cloud does this by DHCP.
    [[ $(setting "$host" ec2) == yes ]] || ip -n "$ns" -batch - <<-END
	addr add $(address "$host")/24 broadcast + dev eth0
	link set eth0 up
	END
    ip link set "$link" master $BRIDGE
    [[ -e $STATE/host$host/partitioned ]] || ip link set "$link" up
}

# The link goes first: it goes at once, the namespace only with its last process.
remove_host_network() {
    local ns link doomed=
    ns=$(namespace "$1") link=$(outer_link "$1")
    if [[ -e /run/netns/$ns ]] && namespace_is_ours "$1"; then doomed=$ns; fi
    if link_exists "$link" && link_is_ours "$link"; then ip link del "$link"; fi
    [[ -z $doomed ]] || ip netns del "$doomed"
}

set_link() {   # set_link I up|down
    local link
    link=$(outer_link "$1")
    if link_exists "$link" && link_is_ours "$link"; then ip link set "$link" "$2"; fi
}

partition_host() { with_link_locked "$1" _partition_host "$1"; }
_partition_host() {
    touch "$STATE/host$1/partitioned"
    set_link "$1" down
}

heal_host() { with_link_locked "$1" _heal_host "$1"; }
_heal_host() {
    rm -f "$STATE/host$1/partitioned"
    set_link "$1" up
}
