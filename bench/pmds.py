#!/usr/bin/env python3
"""Two PMDs against one: two input ports, one a PMD. Prints one line of JSON.

    pmds.py [SECONDS]

Needs two CPUs, both of them: what else runs on the machine is felt.
"""
import json
import sys
import tempfile

import host
import run as one
import scenario
from shapes import INPUTS
from shunt import Shunt

FLOWS = 16_000


def measure(pmds, pcaps, rules, seconds):
    with Shunt(pmds=pmds) as switch:
        switch.sink()
        switch.load(rules)
        switch.source(pcaps)
        # The port that only sends has a queue too, and loads are not known when ports have just come.
        for i, number in enumerate(INPUTS[:len(pcaps)]):
            switch.ctl("port", "set", "br0", f"p{number}", "--rxq-affinity", f"0:{switch.cpus[i % pmds]}")
        one.settle(switch)
        return switch.measure(seconds)["mpps"]


def run(seconds=3):
    if len(host.cpus()) < 2:
        raise host.BenchError("two PMDs need two CPUs")
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        # The first two ports of four: 4,000 flows each.
        pcaps, rules = scenario.make("ports", FLOWS, 7, directory)
        first, second = (measure(n, pcaps[:2], rules, seconds) for n in (1, 2))
    return {"bench": "pmds", "switch": "shunt", "mpps_one": first, "mpps_two": second, "ratio": round(second / first, 3) if first else 0.0}


def main():
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))


if __name__ == "__main__":
    main()
