#!/usr/bin/env python3
"""Memory of a daemon that holds 200,000 flows. Prints one line of JSON.

    memory.py

The same traffic runs before and after: first under one rule, so that there is one flow and all buffers are in use, then under the
rules of `exact`. What the process has grown by between them is the flows', in all tables together.
"""
import json
import tempfile
import time

import host
import scenario
from shunt import Shunt

FLOWS = 200_000
GOAL = 400
ALL = "priority=65000,in_port=1,actions=output:2"


def run():
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        pcaps, rules = scenario.make("exact", FLOWS, 7, directory)
        # Time enough for each flow to be used again.
        with Shunt(flow_limit=FLOWS + FLOWS // 4, max_idle_ms=60_000) as switch:
            pid = switch.process.pid
            empty = host.memory(pid)
            switch.sink()
            switch.load(rules)
            switch.change("add " + ALL)
            switch.source(pcaps)
            time.sleep(3)
            before, few = host.memory(pid), switch.flow_count()
            switch.change("delete_strict " + ALL.split(",actions")[0])
            most, until = 0, time.monotonic() + 20
            while time.monotonic() < until and most < FLOWS:
                time.sleep(0.5)
                most = max(most, switch.flow_count())
            time.sleep(2)
            after, held = host.memory(pid), switch.flow_count()
    grown = sum(after) - sum(before)
    each = round(grown / max(1, held - few))
    return {"bench": "memory", "switch": "shunt", "flows": held, "bytes_per_megaflow": each, "rss_mib_at_start": empty[0] >> 20,
            "rss_mib_before": before[0] >> 20, "rss_mib": after[0] >> 20, "huge_mib": after[1] >> 20,
            "goal": f"<= {GOAL} bytes a megaflow, {FLOWS:,} held", "pass": each <= GOAL and held >= FLOWS}


def main():
    print(json.dumps(run()))


if __name__ == "__main__":
    main()
