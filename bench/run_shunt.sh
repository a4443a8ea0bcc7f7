#!/usr/bin/env bash
# Run one scenario on Shunt, one PMD thread on CPU 1, and print one line of JSON with the fields of peer_ovs.sh.
#
#   run_shunt.sh PCAP RULES [SECONDS]
#
# The capture is read into memory (net_pcap, infinite_rx) as port 1, port 2 is net_null, so no NIC is involved: what is timed
# is the switch. Needs 2 CPUs; uses huge pages when there are enough, else none. The programs are those of
# SHUNT_BIN, or of target/release (built when they are missing).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
pcap=$(realpath "$1"); rules=$(realpath "$2"); seconds=${3:-5}
bin=${SHUNT_BIN:-${CARGO_TARGET_DIR:-$here/target}/release}
[ -x "$bin/shuntd" ] || (cd "$here" && cargo build --quiet --release --locked -p manager -p ctl >&2)
dir=$(mktemp -d)
export SHUNT_SOCKET=$dir/s.sock
pid=
cleanup() {
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
# Every frame of the capture stays in a buffer.
cat > "$dir/shunt.toml" <<TOML
[datapath]
pmd_cpu = 1
mbufs = 262143
memory_mib = 2048
TOML
"$bin/shuntd" --config "$dir/shunt.toml" --state "$dir/state.redb" 2>"$dir/log" & pid=$!
ctl() { "$bin/shuntctl" "$@"; }
for _ in $(seq 200); do [ -S "$SHUNT_SOCKET" ] && ctl show >/dev/null 2>&1 && break; sleep 0.05; done
ctl show >/dev/null || { cat "$dir/log" >&2; exit 1; }
ctl bridge add br0 --fail-mode secure
ctl flow add-file br0 "$rules"
ctl port add br0 p1 --type dpdk --devargs net_null_b,no-rx=1 --ofport 2
ctl port add br0 p0 --type dpdk --devargs "net_pcap_a,rx_pcap=$pcap,infinite_rx=1" --ofport 1
sleep 5
sample() { ctl --json dp counters; }
first=$(sample); sleep "$seconds"; last=$(sample)
python3 - "$first" "$last" <<'PY'
import json, sys
a, b = (json.loads(text) for text in sys.argv[1:3])
packets = b["rx_packets"] - a["rx_packets"]
time = (b["cycles"] - a["cycles"]) / b["cycles_per_second"]
lookup = lambda name: b["lookups"].get(name, 0) - a["lookups"].get(name, 0)
print(json.dumps({
    "switch": "shunt", "mpps": round(packets / time / 1e6, 3),
    "cycles_per_packet": round((b["cycles"] - a["cycles"]) / max(packets, 1)),
    "upcalls": lookup("miss"), "megaflows": b["flows"],
    "subtables_per_megaflow_hit": round(lookup("subtables_probed") / max(lookup("megaflow_hit"), 1), 2), "options": ""}))
PY
