#!/usr/bin/env bash
# Run one scenario on Shunt, one PMD thread on CPU 1, and print one line of JSON with the fields of peer_ovs.sh.
#
#   run_shunt.sh PCAP RULES [SECONDS]
#
# The capture is read into memory (net_pcap, infinite_rx) as port 1, port 2 is net_null, so no NIC is involved: what is timed
# is the switch. Needs 2 CPUs and python3; uses huge pages when there are enough, else none. The programs are those of
# SHUNT_BIN, or of target/release (built when they are missing).
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
exec python3 "$(dirname "$0")/run.py" shunt "$1" "$2" "${@:3}"
