# shellcheck shell=bash disable=SC2153  # STATE, UNIFIED: set by other parts
# What is around the instances of a cloud: DHCP, and 169.254.169.254, where a metadata service can listen.
#
#   namespace muster-cloud   on the bridge, with both addresses below
#   $STATE/cloud             dnsmasq's hosts, leases and log
#   cgroup muster-lab/cloud  dnsmasq

CLOUD=muster-cloud   # also the bridge's end of its link
CLOUD_ADDRESS=10.77.0.2
METADATA_ADDRESS=169.254.169.254

cloud_cgroup() { echo "$UNIFIED/muster-lab/cloud"; }
cloud_runs() { grep -qs '^populated 1' "$(cloud_cgroup)/cgroup.events"; }
cloud_is_stopped() { ! cloud_runs; }
cloud_listens() { nsenter --net=/run/netns/$CLOUD ss -Hlun 'sport = 67' | grep -q .; }
cloud_is_ours() { [[ -d $STATE/cloud ]] || { link_exists $CLOUD && link_is_ours $CLOUD; }; }

ensure_cloud() {
    local host
    cloud_runs && return
    remove_cloud
    [[ ! -e /run/netns/$CLOUD ]] ||
        die "there is a network namespace $CLOUD that the lab did not make: remove it (ip netns del $CLOUD), then try again"
    ! link_exists $CLOUD ||
        die "there is a link $CLOUD that the lab did not make: remove it (ip link del $CLOUD), then try again"
    mkdir -p "$STATE/cloud" "$(cloud_cgroup)"
    for (( host = 1; host <= MAX_HOSTS; host++ )); do printf '%s:74:%02x,10.77.0.%d\n' "$MAC" "$host" $(( 10 + host )); done >"$STATE/cloud/hosts"
    ip netns add $CLOUD
    ip link add $CLOUD address "$(mac 77 0)" type veth peer name eth0 address "$(mac 76 0)" netns $CLOUD
    ip -n $CLOUD -batch - <<-END
	link set lo up
	addr add $METADATA_ADDRESS/32 dev lo
	addr add $CLOUD_ADDRESS/24 broadcast + dev eth0
	link set eth0 up
	END
    ip link set $CLOUD master "$BRIDGE" up
    setsid "$LAB" _run_cloud </dev/null >>"$STATE/cloud/log" 2>&1 &
    echo $! >"$(cloud_cgroup)/cgroup.procs"
    wait_until 10 cloud_listens || die "dnsmasq does not listen; what it said is in $STATE/cloud/log"
}

# Only the lab's hosts are answered, each with the address that it has in any case. They get no way out, only one to the
# metadata service. They are known by their hardware addresses: copies of one image have the same client identifier.
run_cloud() {
    cd /
    close_descriptors
    exec nsenter --net=/run/netns/$CLOUD dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file --user=root --log-facility=- \
        --port=0 --interface=eth0 --bind-interfaces --no-ping --dhcp-authoritative --dhcp-ignore-clid \
        --dhcp-range=10.77.0.0,static,255.255.255.0,1h --dhcp-hostsfile="$STATE/cloud/hosts" --dhcp-leasefile="$STATE/cloud/leases" \
        --dhcp-option=option:router --dhcp-option=option:dns-server \
        --dhcp-option=option:classless-static-route,$METADATA_ADDRESS/32,$CLOUD_ADDRESS
}

remove_cloud() {
    cloud_is_ours || return 0
    if cloud_runs; then
        echo 1 >"$(cloud_cgroup)/cgroup.kill"
        wait_until 10 cloud_is_stopped || die "dnsmasq does not die; its process: $(cat "$(cloud_cgroup)/cgroup.procs")"
    fi
    remove_cgroup "$(cloud_cgroup)"
    if link_exists $CLOUD; then ip link del $CLOUD; fi
    if [[ -e /run/netns/$CLOUD ]]; then ip netns del $CLOUD; fi
    rm -rf --one-file-system "$STATE/cloud"
}
