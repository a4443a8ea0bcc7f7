#!/bin/sh
# Checks that the crates compile against the headers of DPDK 24.11, as Debian 13 (trixie) packages them.
# Nothing is installed: the packages are downloaded through a temporary apt root and unpacked.
# Prints "skipped: reason" and ends with 0 when the packages cannot be had.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
    echo "skipped: $1"
    exit 0
}

command -v apt-get >/dev/null || skip "apt-get is not here"
command -v dpkg-deb >/dev/null || skip "dpkg-deb is not here"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || skip "$keyring is not here"

arch=$(dpkg --print-architecture)
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root"
echo "deb [signed-by=$keyring] ${MIRROR:-http://deb.debian.org/debian} trixie main" >"$work/sources.list"
: >"$work/status"
cat >"$work/apt.conf" <<EOF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::State::Status "$work/status";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
APT::Architecture "$arch";
EOF
export APT_CONFIG="$work/apt.conf"
apt-get -qq update >"$work/log" 2>&1 || skip "trixie's package lists cannot be fetched: $(tail -n1 "$work/log")"
(cd "$work/debs" && apt-get -qq download libdpdk-dev) >"$work/log" 2>&1 ||
    skip "libdpdk-dev of trixie cannot be fetched: $(tail -n1 "$work/log")"
unset APT_CONFIG

for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$work/root"
done
pc=$(find "$work/root" -name libdpdk.pc | head -n1)
[ -n "$pc" ] || skip "the package holds no libdpdk.pc"

# The package's .pc files name /usr: let them name the unpacked tree, and drop requirements that only linking needs.
libdir=$(dirname "$pc")
for f in "$libdir"/*.pc; do
    sed -i -e "s|=/usr|=$work/root/usr|" -e "s|/usr/include/dpdk|$work/root/usr/include/dpdk|g" \
        -e "s|$work/root$work/root|$work/root|g" -e '/^Requires\.private:/d' "$f"
done
export PKG_CONFIG_PATH="$libdir"
echo "headers: DPDK $(pkg-config --modversion libdpdk)"
cd "$here"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$here/target}-headers" cargo check -p dpdk-sys -p dpdk -p rte-flow-rs
echo "ok: the crates compile against DPDK $(pkg-config --modversion libdpdk)"
