#!/usr/bin/env python3
"""Run one scenario on one switch and print one line of JSON.

    run.py shunt|ovs|testpmd PCAP[,PCAP...] RULES [SECONDS] [key=value ...]

Captures enter at ports 1, 3, 4 and 5, what is forwarded leaves by port 2. Further words are options: `other_config` of Open
vSwitch, the section [datapath] of Shunt's configuration. One PMD on CPU 1 (captures come from memory, net_pcap with infinite_rx,
and go to net_null: what is timed is the switch).
"""
import json
import os
import sys
import time

import host
from ovs import Ovs, testpmd
from settings import LEAST
from shunt import Shunt


def settle(switch, least=LEAST, most=12.0):
    """Wait until (nearly) no packet is new to the switch."""
    start, last = time.monotonic(), switch.misses()
    while time.monotonic() - start < most:
        time.sleep(0.5)
        now = switch.misses()
        packets, misses = now[0] - last[0], now[1] - last[1]
        if time.monotonic() - start >= least and packets and misses * 10_000 <= packets:
            return
        last = now


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def make(kind, options=""):
    if kind == "ovs":
        return Ovs(options)
    return Shunt(options=options, **{k: value(v) for k, v in (pair.split("=", 1) for pair in options.split())})


def scenario(kind, pcaps, rules, seconds=5, options=""):
    """Measure one switch."""
    if kind == "testpmd":
        return testpmd(pcaps[0], "io", seconds)
    with make(kind, options) as switch:
        switch.sink()
        switch.load(rules)
        switch.source(pcaps)
        settle(switch)
        return switch.measure(seconds)


def main():
    args = sys.argv[1:]
    if len(args) < 3 or args[0] not in ("shunt", "ovs", "testpmd"):
        raise SystemExit(__doc__)
    kind, pcaps, rules = args[0], [os.path.realpath(p) for p in args[1].split(",")], os.path.realpath(args[2])
    seconds = int(args[3]) if len(args) > 3 else 5
    try:
        print(json.dumps(scenario(kind, pcaps, rules, seconds, " ".join(args[4:]))))
    except host.BenchError as e:
        raise SystemExit(f"{kind}: {e}") from None


if __name__ == "__main__":
    main()
