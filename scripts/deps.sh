#!/usr/bin/env bash
# Make sure that the Debian packages named in PACKAGES are there. As root: install what is missing. Otherwise:
# print the exact command and fail.
#
#   deps.sh build    what compiling needs
#   deps.sh test     the same, and what the tests compare with
#   deps.sh lab      what the lab's image is made with
#   deps.sh bench    what benchmarks run beside us and measure with
set -euo pipefail

build="build-essential pkg-config libdpdk-dev libclang-dev"
test="openvswitch-common python3 iproute2 iperf3 iputils-ping"
lab="build-essential patch xz-utils kmod python3 iproute2 ethtool procps"
bench="python3 openvswitch-switch-dpdk dpdk-dev valgrind"
case "${1:-build}" in
    build) packages=$build ;;
    test) packages="$build $test" ;;
    lab) packages=$lab ;;
    bench) packages="$build $bench" ;;
    *) echo "deps.sh: unknown set '$1': use build, test, lab or bench" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: this is no Debian system: install by hand what stands for: $packages" >&2
    exit 0
fi
missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "Debian packages are missing. Run this, then try again:" >&2
        echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
    echo "installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    # shellcheck disable=SC2086
    apt-get install -y -q --no-install-recommends $missing >/dev/null
fi
if ! command -v cargo >/dev/null; then
    echo "cargo is missing. Install Rust 1.90 or newer from https://rustup.rs, then try again." >&2
    exit 1
fi
