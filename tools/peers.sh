#!/bin/bash
# Installs the programs that test/peers drives, on Debian and Ubuntu as root or with
# sudo that asks nothing. Elsewhere it names what is missing. The last line of its
# output says which it was: "peers: all there" or "peers: left out: ...".
# An installation that fails is an error, not something left out.
set -euo pipefail

packages=(sip-tester baresip-core linphone-cli twinkle-console kamailio
          kamailio-tls-modules tshark sox ffmpeg libxml2-utils iproute2 nftables)

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
fi

# missing names the packages that are not installed; without dpkg, the programs.
missing() {
    local p
    if command -v dpkg-query >/dev/null; then
        for p in "${packages[@]}"; do
            dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || echo "$p"
        done
        return
    fi
    for p in sipp baresip linphonec twinkle-console kamailio tshark sox ffmpeg xmllint ip nft; do
        command -v "$p" >/dev/null || echo "$p"
    done
}

can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

# Kamailio must not be started by its package: the tests start their own.
policy=/usr/sbin/policy-rc.d
keep_services_down() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
}

install() {
    keep_services_down
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
               -o Acquire::Retries=3 -o DPkg::Lock::Timeout=60)
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "$@"
}

todo=($(missing)) # names of packages hold no spaces; bash 3 has no mapfile
if [ "${#todo[@]}" -gt 0 ] && can_install; then
    install "${todo[@]}" </dev/null
    todo=($(missing)) # names of packages hold no spaces; bash 3 has no mapfile
    if [ "${#todo[@]}" -gt 0 ]; then
        echo "peers: installed, and still missing: ${todo[*]}" >&2
        exit 1
    fi
fi

# Packages of npm go into a folder of their own, where the tests look for them.
modules=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/parkd-peers
if [ ! -d "$modules/node_modules/sip" ]; then
    if command -v npm >/dev/null; then
        npm install --prefix "$modules" --no-audit --no-fund --ignore-scripts sip@0.0.6 </dev/null
    else
        todo+=("npm sip")
    fi
fi
if [ "${#todo[@]}" -gt 0 ]; then
    echo "peers: left out: ${todo[*]}"
else
    echo "peers: all there"
fi
