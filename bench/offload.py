#!/usr/bin/env python3
"""What offload costs PMDs, as ratios within one run: marked packets, packets beside those that hardware switches, rules going in.

    offload.py [FLOWS]

One line of JSON each. The program is the benchmark `offload` of the crate manager, which is built first; its traffic is the
scenario `acl`. Nothing here needs a NIC or huge pages.
"""
import json
import os
import subprocess
import sys
import tempfile

import host
import scenario

FLOWS = 8000


def run(flows=FLOWS, seed=7):
    """The lines of all parts."""
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        pcaps, rules = scenario.make("acl", flows, seed, directory)
        profile = os.environ.get("BENCH_PROFILE", "bench")
        command = ["cargo", "bench", "--locked", "--profile", profile, "-p", "manager", "--bench", "offload", "--", pcaps[0], rules]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=host.HERE.parent)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main():
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    for line in run(int(sys.argv[1]) if len(sys.argv) == 2 else FLOWS):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
