#!/usr/bin/env python3
"""Packets that are all new, for a while: one line of JSON each.

    newflows.py [exact|routed ...] [SECONDS]

exact:  every packet needs a flow of its own: translations and installs a second, and whether the flow limit held.
routed: every packet has a new 5-tuple, under a few hundred flows that are there.
Four million distinct packets come through a pipe, again and again, so that a packet comes back only after far more others than
the flow limit allows. `feed_mpps` is what testpmd reads from that pipe.
"""
import json
import os
import pathlib
import sys
import tempfile
import time

import host
import scenario
from ovs import Ovs, number, testpmd
from shunt import Shunt

FLOWS = 1 << 22
LIMIT = 200_000
STEP = 0.5
GOAL = 500_000


def shm():
    """Where 320 MB may lie: memory, if it has room."""
    stat = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    return "/dev/shm" if stat and stat.f_bavail * stat.f_frsize > 1 << 30 else None


def reading(switch):
    """Seconds, packets, translations, installs, flows, flow limit."""
    now = time.monotonic()
    if switch.name == "shunt":
        c = switch.counters()
        return now, c["rx_packets"], c["lookups"].get("miss", 0), c["events"].get("installed", 0), c["flows"], LIMIT
    perf, shown = switch.perf(), switch.appctl("upcall/show")
    upcalls = number(perf, r"Upcalls: +(\d+)")
    return now, number(perf, r"Rx packets: +(\d+)"), upcalls, upcalls, number(shown, r"current (\d+)"), number(shown, r"limit (\d+)")


def sustained(readings, column, window=5.0):
    """The lowest rate over any window of some seconds."""
    rates = []
    for i, a in enumerate(readings):
        b = next((r for r in readings[i:] if r[0] - a[0] >= min(window, readings[-1][0] - readings[0][0])), None)
        if b is not None and b[0] > a[0]:
            rates.append((b[column] - a[column]) / (b[0] - a[0]))
    return round(min(rates)) if rates else 0


def measure(switch, kind, fifo, rules, seconds):
    with switch:
        switch.sink()
        switch.load(rules)
        switch.source([fifo], "")
        time.sleep(3)
        readings = [reading(switch)]
        while readings[-1][0] - readings[0][0] < seconds:
            time.sleep(STEP)
            readings.append(reading(switch))
    first, last = readings[0], readings[-1]
    rate = lambda column: round((last[column] - first[column]) / (last[0] - first[0]))
    limit = max(r[5] for r in readings)
    result = {"bench": "new_flows", "traffic": kind, "switch": switch.name, "measured_s": round(last[0] - first[0], 1), "mpps": round(rate(1) / 1e6, 3),
              "translations_per_s": rate(2), "installs_per_s": rate(3), "installs_per_s_lowest_5s": sustained(readings, 3),
              "flows_most": max(r[4] for r in readings), "flow_limit": limit, "limit_respected": all(r[4] <= r[5] for r in readings)}
    if kind == "exact" and switch.name == "shunt":
        result |= {"goal": f"{GOAL:,} installs a second, limit respected", "pass": min(rate(2), rate(3)) >= GOAL and result["limit_respected"]}
    return result


def run(kinds=("exact", "routed"), seconds=30, flows=FLOWS):
    """Yield one result each."""
    with tempfile.TemporaryDirectory(prefix="shunt-bench-", dir=shm()) as directory:
        fifo = pathlib.Path(directory) / "feed"
        os.mkfifo(fifo)
        for kind in kinds:
            (pcap,), rules = scenario.make(kind, flows, 7, directory)
            feed = host.spawn([sys.executable, host.HERE / "feed.py", pcap, fifo], "/dev/null")
            try:
                took = seconds if kind == "exact" else min(seconds, 10)
                feed_mpps = None if host.why_no_testpmd() else testpmd(fifo, "io", 2, "")["mpps"]
                for make in (lambda: Shunt(flow_limit=LIMIT), Ovs):
                    if make is Ovs and host.why_no_ovs():
                        host.note(f"skipped: {host.why_no_ovs()}")
                        continue
                    try:
                        yield measure(make(), kind, fifo, rules, took) | {"feed_mpps": feed_mpps}
                    except (host.BenchError, OSError) as e:
                        name = "ovs" if make is Ovs else "shunt"
                        yield {"bench": "new_flows", "traffic": kind, "switch": name, "error": f"{type(e).__name__}: {e}", "pass": False}
            finally:
                host.stop(feed)
            pcap.unlink()


def main():
    kinds = [a for a in sys.argv[1:] if not a.isdigit()] or ["exact", "routed"]
    seconds = next((int(a) for a in sys.argv[1:] if a.isdigit()), 30)
    for result in run(kinds, seconds):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
