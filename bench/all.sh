#!/usr/bin/env bash
# Run every scenario on Shunt and, where they are installed, on its peers, in turn, and print one line of JSON each.
#
#   all.sh [FLOWS] [SECONDS]
#
# Peers: testpmd (package dpdk-dev: the limit, no switching at all) and Open vSwitch (package openvswitch-switch-dpdk; needs root
# and 1,024 huge pages of 2 MiB). Compare ratios within one run: machines are noisy.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
flows=${1:-1000}; seconds=${2:-5}
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
pages=$(awk '/HugePages_Free/{print $2}' /proc/meminfo)
for scenario in port acl l3 l2 pipeline; do
    python3 "$here/traffic.py" "$scenario" --flows "$flows" --pcap "$dir/t.pcap" --rules "$dir/t.flows"
    tag() { sed "s/^{/{\"scenario\":\"$scenario\",\"flows\":$flows,/"; }
    "$here/run_shunt.sh" "$dir/t.pcap" "$dir/t.flows" "$seconds" | tag
    if [ -x /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk ] && [ "$(id -u)" -eq 0 ] && [ "$pages" -ge 1024 ]; then
        "$here/peer_ovs.sh" "$dir/t.pcap" "$dir/t.flows" "$seconds" | tag
    else
        echo "skipped: Open vSwitch with DPDK: not installed, not root, or fewer than 1,024 free huge pages" >&2
    fi
    if command -v dpdk-testpmd >/dev/null && [ "$pages" -ge 512 ]; then
        "$here/limit_testpmd.sh" "$dir/t.pcap" io "$seconds" | tag
    else
        echo "skipped: testpmd: not installed, or fewer than 512 free huge pages" >&2
    fi
done
# The slow path: translation, memory and loading of rules.
"$here/run_pipeline.sh"
