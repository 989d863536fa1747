# shellcheck shell=bash
# The base image: one Debian tree that is the lower layer of every host.

PACKAGES=(
    systemd systemd-sysv dbus libpam-systemd   # PID 1, and login sessions
    openssh-server sudo
    iproute2 iputils-ping procps netbase curl ca-certificates python3
    cloud-init isc-dhcp-client
    keepalived                                 # for an address that moves, in tests that configure it
)

# Units that change the file system by themselves or only cost time at boot.
MASKED_UNITS=(
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
    e2scrub_all.timer e2scrub_reap.service logrotate.timer man-db.timer
    systemd-tmpfiles-clean.timer
    systemd-update-done.service systemd-hwdb-update.service ldconfig.service
    systemd-journal-catalog-update.service systemd-firstboot.service
    systemd-pstore.service systemd-random-seed.service
    getty.target console-getty.service
)

# Tool and the package that has it. nft is for the tests' own faults (loss, one way cuts).
TOOLS=(
    systemd-nspawn:systemd-container mmdebstrap:mmdebstrap ip:iproute2 nft:nftables
    dnsmasq:dnsmasq-base ssh:openssh-client nsenter:util-linux setpriv:util-linux mount:mount awk:mawk
)

install_tools() {
    local entry
    local -a missing=()
    for entry in "${TOOLS[@]}"; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
    done
    (( ${#missing[@]} )) || return 0
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; there is no apt-get here to install them with"
    say "installing ${missing[*]}"
    update_package_lists
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
        die "could not install ${missing[*]}: see apt's messages above"
}

# A third party's source that does not answer must not stop the lab.
update_package_lists() {
    say "apt-get update"
    apt-get update -qq </dev/null >&2 || say "apt-get update had errors; going on with what it got"
}

# The machine's own sources of the Debian archive's main component, as one-line
# entries. apt itself is asked, so both of its file formats are understood.
debian_sources() {
    # shellcheck disable=SC2016  # $(...) is apt's own notation here
    apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(ARCHITECTURE)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' |
        awk -F'|' -v arch="$(dpkg --print-architecture)" '$1 == "Debian" && $2 == "main" && $3 == arch && !seen[$4]++ { print $4 }'
}

# The image is cached under a hash of all that makes it.
recipe() {
    declare -f build_image customise_image write_file
    echo "${PACKAGES[*]} ${MASKED_UNITS[*]}"
    release
}

# shellcheck source=/dev/null
release() { (. /etc/os-release && echo "${VERSION_CODENAME:-stable}"); }

image_path() {
    local hash
    hash=$(recipe | sha256sum)
    echo "$CACHE/image-${hash:0:12}"
}

ensure_image() {
    IMAGE=$(image_path)
    [[ -d $IMAGE ]] && return
    local building sources started=$SECONDS
    claim_dir "$CACHE" MUSTER_LAB_CACHE
    rm -rf --one-file-system "$CACHE"/building.*   # left by a build that crashed
    sources=$(debian_sources)
    if [[ -z $sources ]]; then
        update_package_lists
        sources=$(debian_sources)
    fi
    [[ -n $sources ]] || die "apt knows no Debian archive (Origin Debian, component main): add one to /etc/apt/sources.list, then try again"
    say "building the base image $IMAGE (about half a minute)"
    building=$(mktemp -d "$CACHE/building.XXXXXX")
    try build_image "$building" "$sources" >"$CACHE/build.log" 2>&1
    if (( STATUS )); then
        tail -n 20 "$CACHE/build.log" >&2
        die "the image could not be built; all of the log: $CACHE/build.log"
    fi
    mv "$building/root" "$IMAGE"
    rm -rf "$building"
    remove_old_images
    say "built the base image in $(( SECONDS - started )) s"
}

# Images of older recipes, except where a host stands on one.
remove_old_images() {
    local image
    for image in "$CACHE"/image-*; do
        [[ $image == "$IMAGE" ]] || grep -qsxF "$image" "$STATE"/host*/image || rm -rf --one-file-system "$image"
    done
}

build_image() {
    local building=$1 sources=$2 root=$1/root
    # How this machine reaches its mirror (proxy, clock checks) holds for the build too.
    apt-config dump | grep '^Acquire::' >"$building/apt.conf"
    mmdebstrap --mode=root --variant=minbase --include="$(IFS=,; echo "${PACKAGES[*]}")" \
        --aptopt="$building/apt.conf" --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        "$(release)" "$root" "$sources"
    customise_image "$root"
}

# write_file FILE: stdin becomes FILE, with the directories it needs.
write_file() {
    mkdir -p "${1%/*}"
    cat >"$1"
}

customise_image() {
    local root=$1 unit

    # Identities are made per host.
    rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id
    ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"

    # Nothing of the build stays: hosts have no way to a mirror.
    rm -rf "$root"/etc/apt/apt.conf.d/*mmdebstrap* "$root"/etc/dpkg/dpkg.cfg.d/*mmdebstrap* "$root"/var/lib/apt/lists/* \
        "$root"/var/cache/ldconfig/* "$root"/var/log/apt "$root"/etc/apt/sources.list.d/*
    : >"$root/etc/apt/sources.list"
    : >"$root/etc/resolv.conf"

    chroot "$root" useradd --create-home --shell /bin/bash admin
    # Without !admin_flag the first sudo leaves a file in the user's home.
    printf '%s\n' 'Defaults !admin_flag' 'admin ALL=(ALL) NOPASSWD: ALL' | write_file "$root/etc/sudoers.d/admin"
    chmod 440 "$root/etc/sudoers.d/admin"
    install -d -m 700 -o 1000 -g 1000 "$root/home/admin/.ssh"

    write_file "$root/etc/ssh/sshd_config.d/lab.conf" <<-'END'
	HostKey /etc/ssh/ssh_host_ed25519_key
	PermitRootLogin no
	PasswordAuthentication no
	UseDNS no
	PrintMotd no
	END
    # Greetings at each login cost time and write files.
    sed -i '/pam_motd\|pam_mail/d' "$root/etc/pam.d/sshd" "$root/etc/pam.d/login"

    ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    for unit in "${MASKED_UNITS[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
    chroot "$root" systemctl --quiet disable keepalived.service

    # Tests compare a host's tree before and after: logs stay in memory (and
    # warnings go to console.log), and logins are not counted in /var/log.
    write_file "$root/etc/systemd/journald.conf.d/lab.conf" <<-'END'
	[Journal]
	Storage=volatile
	ForwardToConsole=yes
	MaxLevelConsole=warning
	END
    sed '/wtmp\|btmp\|lastlog/d' "$root/usr/lib/tmpfiles.d/var.conf" | write_file "$root/etc/tmpfiles.d/var.conf"
    rm -rf "$root"/var/log/wtmp "$root"/var/log/btmp "$root"/var/log/lastlog "$root"/var/log/journal

    # Without C.UTF-8 cloud-init ends in error; the rest keeps it from undoing
    # what the lab set, and from waiting for a network that is not there.
    write_file "$root/etc/cloud/cloud.cfg.d/90-lab.cfg" <<-'END'
	datasource_list: [NoCloud]
	locale: C.UTF-8
	ssh_deletekeys: false
	ssh_genkeytypes: [ed25519]
	apt: {preserve_sources_list: true}
	growpart: {mode: "off"}
	resize_rootfs: false
	END
}
