#!/usr/bin/env python3
"""What offload costs, and how fast it is.

    offload.py [FLOWS]

One line of JSON each: plans a second; rules a second from flows into the model of a NIC; and, as ratios within one run, what
marked packets, packets beside those that hardware switches, and rules going in cost PMDs, and how long a flow takes into hardware.
The programs are benchmarks of the crates offload and manager and an example of mocks, which are built first; traffic is the
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


def cargo(*arguments):
    """The lines of JSON that a program of ours prints."""
    done = subprocess.run(["cargo", *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True, cwd=host.HERE.parent)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run(flows=FLOWS, seed=7):
    """The lines of all parts."""
    profile = os.environ.get("BENCH_PROFILE", "bench")
    bench = ["bench", "--locked", "--profile", profile]
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        pcaps, rules = scenario.make("acl", flows, seed, directory)
        lines = cargo(*bench, "-p", "offload", "--bench", "plan")
        lines += cargo("run", "--locked", "--release", "-p", "mocks", "--example", "inserts")
        return lines + cargo(*bench, "-p", "manager", "--bench", "offload", "--", pcaps[0], rules)


def main():
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    for line in run(int(sys.argv[1]) if len(sys.argv) == 2 else FLOWS):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
