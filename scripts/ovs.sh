#!/usr/bin/env bash
# Fetch Open vSwitch's daemons without installing them and print the directory that they are in, laid out as `/` is.
#
#   ovs.sh DIR    DIR keeps the unpacked packages; a second run only prints
#
# Nothing of the system changes: the packages are downloaded and unpacked by an ordinary user, none of their scripts run,
# no daemon is started. Exit 1, with one line that says why, where that is not possible (no Debian, no network).
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: ovs.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
exec 9>"$dir/lock"
flock 9

daemon=usr/lib/openvswitch-switch/ovs-vswitchd
loads() { LD_LIBRARY_PATH="$(libs "$1")" "$1/$daemon" --version >/dev/null 2>&1; }
libs() { echo "$1/usr/lib/$(uname -m)-linux-gnu:$1/lib/$(uname -m)-linux-gnu"; }
if [ -e "$dir/root/done" ] && loads "$dir/root"; then
    echo "$dir/root"
    exit
fi
command -v apt-get dpkg-deb >/dev/null || { echo "no Debian system: Open vSwitch's packages cannot be fetched" >&2; exit 1; }

rm -rf "$dir/root" "$dir/debs"
mkdir -p "$dir/root" "$dir/debs" "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
cd "$dir/debs"
# A list of packages of our own, for systems whose list is empty; made only when it is needed.
own="-o Dir::State::Lists=$dir/apt/lists -o Dir::Cache=$dir/apt/cache -o APT::Sandbox::User=$(id -un)"
get() {
    # shellcheck disable=SC2086
    apt-get download -qq -o APT::Sandbox::User="$(id -un)" "$@" 2>/dev/null \
        || apt-get $own download -qq "$@" 2>/dev/null \
        || { apt-get $own update -qq 2>/dev/null && apt-get $own download -qq "$@" 2>"$dir/error"; } \
        || { echo "cannot download $*: $(tr '\n' ' ' <"$dir/error" 2>/dev/null)" >&2; exit 1; }
}
unpack() { for deb in *.deb; do [ -e "$deb" ] && dpkg-deb -x "$deb" "$dir/root" && rm "$deb"; done; true; }
get openvswitch-switch openvswitch-common
depends="$(dpkg-deb -f openvswitch-switch_*.deb Depends | grep -oE '\blib[a-z0-9.+-]+' | sort -u)"
unpack
# Libraries that this system lacks are unpacked beside it. Theirs in turn are few; two rounds reach them.
for _ in 1 2 3; do
    loads "$dir/root" && break
    for package in $depends; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || get "$package"
    done
    depends=$(for deb in *.deb; do [ -e "$deb" ] && dpkg-deb -f "$deb" Depends | grep -oE '\blib[a-z0-9.+-]+' || true; done | sort -u)
    unpack
done
loads "$dir/root" || { echo "$dir/root/$daemon does not start: $("$dir/root/$daemon" --version 2>&1 | head -1)" >&2; exit 1; }
touch "$dir/root/done"
echo "$dir/root"
