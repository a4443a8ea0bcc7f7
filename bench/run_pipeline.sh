#!/usr/bin/env bash
# Time the slow path: translation of cold packets, bytes a rule, and loading of rules, beside Open vSwitch where that does
# the same. Prints one line of JSON each.
#
#   run_pipeline.sh [RULES]      RULES to load, 100,000 by default
#
# Needs no root, no huge pages and no installed Open vSwitch: scripts/ovs.sh fetches it (its part is skipped where that cannot
# be). Its daemon runs with the dummy datapath; ours without ports. Both get the same file, through their own
# command line, and have acknowledged every rule when it ends.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
count=${1:-100000}
target=${CARGO_TARGET_DIR:-$here/target}
bin=${SHUNT_BIN:-$target/release}
cd "$here"
cargo bench --quiet --locked -p pipeline --bench translate

[ -x "$bin/shuntd" ] || cargo build --quiet --release --locked -p manager -p ctl >&2
dir=$(mktemp -d /tmp/shunt-bench.XXXXXX)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
python3 - "$count" > "$dir/rules" <<'PY'
import sys
for i in range(int(sys.argv[1])):
    n = i * 0x9E3779B1 % (1 << 24)
    print("table=%d,priority=%d,in_port=1,tcp,nw_dst=11.%d.%d.%d,tp_dst=%d,actions=output:2"
          % (i % 2, 1 + i % 100, n >> 16, n >> 8 & 255, n & 255, i % 1000))
PY
# Seconds that a command takes.
timed() {
    local start end
    start=$(date +%s%N); "$@" >/dev/null; end=$(date +%s%N)
    awk "BEGIN{printf \"%.3f\", ($end - $start) / 1e9}"
}
await() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; "$@" >/dev/null; }
# Resident memory of a process, in KiB.
resident() { awk '/^VmRSS/{print $2}' "/proc/$1/status"; }
report() {
    printf '{"bench":"load","switch":"%s","rules":%s,"seconds":%s,"resident_bytes_per_rule":%s}\n' \
        "$1" "$count" "$2" $((($4 - $3) * 1024 / count))
}

export SHUNT_SOCKET=$dir/shunt.sock
cat > "$dir/shunt.toml" <<TOML
[datapath]
pmd_cpu = 1
TOML
"$bin/shuntd" --config "$dir/shunt.toml" --state "$dir/state.redb" 2>"$dir/shunt.log" & pids+=($!)
await "$bin/shuntctl" show || { cat "$dir/shunt.log" >&2; exit 1; }
"$bin/shuntctl" bridge add br0 --fail-mode secure >/dev/null
before=$(resident "${pids[0]}")
seconds=$(timed "$bin/shuntctl" flow add-file br0 "$dir/rules")
report shunt "$seconds" "$before" "$(resident "${pids[0]}")"
kill "${pids[0]}" && wait "${pids[0]}" 2>/dev/null || true

if ! root=$("$here/scripts/ovs.sh" "$target/ovs" 2>"$dir/why"); then
    echo "skipped: Open vSwitch: $(tail -n 1 "$dir/why")" >&2
    exit
fi
libs=$(uname -m)-linux-gnu
export LD_LIBRARY_PATH=$root/usr/lib/$libs:$root/lib/$libs OVS_RUNDIR=$dir OVS_LOGDIR=$dir OVS_DBDIR=$dir
"$root/usr/bin/ovsdb-tool" create "$dir/conf.db" "$root/usr/share/openvswitch/vswitch.ovsschema"
"$root/usr/sbin/ovsdb-server" "$dir/conf.db" --remote="punix:$dir/db.sock" -vconsole:off -vsyslog:off & pids+=($!)
await test -S "$dir/db.sock"
vsctl() { "$root/usr/bin/ovs-vsctl" --db="unix:$dir/db.sock" --timeout=60 "$@"; }
vsctl --no-wait init
"$root/usr/lib/openvswitch-switch/ovs-vswitchd" "unix:$dir/db.sock" --enable-dummy=override --disable-system \
    -vconsole:off -vsyslog:off & vswitchd=$!
pids+=("$vswitchd")
vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail-mode=secure
before=$(resident "$vswitchd")
seconds=$(timed "$root/usr/bin/ovs-ofctl" add-flows "unix:$dir/br0.mgmt" "$dir/rules")
report ovs "$seconds" "$before" "$(resident "$vswitchd")"
