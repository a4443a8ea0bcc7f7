#!/usr/bin/env python3
"""The same frames through Shunt and Open vSwitch: what leaves must be the same, byte for byte, and so must the rules' counters.

    verify.py [SCENARIO ...] [--flows N] [--passes N] [--seed S] [--huge-pages]

For each scenario and shape of traffic.py a capture with every frame several times over (so that misses, cached and established flows
are all met; each frame has its number and pass in it) goes through both switches under the same rules. Compared:
  - all frames that leave, as bytes; frames of one flow also in their order (flows of a burst may pass each other);
  - packets and bytes of each rule;
  - that every frame received was counted by one rule of the first table.
Open vSwitch runs with its userspace datapath and dummy ports, so neither huge pages, nor root, nor an installation are needed
(scripts/ovs.sh fetches it). Exit 0: all equal. 1: a difference, shown. 77: skipped, the reason on standard error.
"""
import argparse
import collections
import json
import os
import pathlib
import struct
import sys
import tempfile
import threading
import time

import host
import scenario
from dummy import Dummy
from shapes import INPUTS
from shunt import Shunt

SCENARIOS = ("port", "acl", "l3", "l2", "pipeline", "ipv6", "vlan", "prefixes", "ports", "masks30", "masks300")
SKIPPED = 77


def read_pcap(path):
    """The frames of a little-endian capture."""
    data, at, frames = pathlib.Path(path).read_bytes(), 24, []
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return frames


def numbered(rules):
    """Rules with their line as cookie. One that is said twice keeps the later number in both switches."""
    lines = pathlib.Path(rules).read_text().splitlines()
    pathlib.Path(rules).write_text("".join(f"cookie={i},{line}\n" for i, line in enumerate(lines, 1)))
    return dict(enumerate(lines, 1))


def through_ovs(root, pcaps, rules):
    with Dummy(root, len(pcaps)) as switch:
        switch.load(rules)
        for port, pcap in zip(INPUTS, pcaps):
            switch.send(port, read_pcap(pcap))
        return read_pcap(switch.out), switch.rules()


def feed(switch, number, pcap):
    """A port that receives a capture, from its first frame on: a port that has just been added takes packets a moment before its
    bridge knows it, so the frames come through a pipe, behind the answer to its addition."""
    fifo, added, data = switch.dir / f"feed{number}", threading.Event(), pathlib.Path(pcap).read_bytes()
    os.mkfifo(fifo)

    def write():
        with open(fifo, "wb") as out:
            out.write(data[:24])
            out.flush()
            added.wait()
            out.write(data[24:])

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    switch.port(f"p{number}", f"net_pcap_{number},rx_pcap={fifo}", number)
    added.set()
    thread.join(60)


def through_shunt(pcaps, rules, frames, huge_pages):
    """One pass: ports read the capture to its end, port 2 writes a capture."""
    memory = {} if huge_pages else {"memory_mib": 256, "mbufs": 32767}
    # Several of these may run at a time: it is not about speed.
    with Shunt(share_cpus=True, **memory) as switch:
        out = switch.dir / "out.pcap"
        switch.port("p2", f"net_pcap_out,tx_pcap={out}", 2)
        switch.load(rules)
        for number, pcap in zip(INPUTS, pcaps):
            feed(switch, number, pcap)
        until = time.monotonic() + 60
        while switch.counters()["rx_packets"] < frames:
            if time.monotonic() > until:
                raise host.BenchError(f"shuntd received {switch.counters()['rx_packets']} of {frames} frames within 60 s")
            time.sleep(0.02)
        counted, counters = switch.rules(), switch.counters()
        # The device is closed, and its file complete, when the port is gone.
        switch.call("DELETE", "/v1/bridges/br0/ports/p2")
        return read_pcap(out), counted, counters


def flow_of(frame):
    """Number and pass, as traffic.py stamps them."""
    return struct.unpack("!IH", frame[-6:])


def tied(rules, lines):
    """Counters by priority and actions. Which one of several rules of the same priority a packet hits is left open by OpenFlow, and
    those of the scenarios that overlap do the same."""
    sums = collections.Counter()
    for cookie, (packets, size) in rules.items():
        fields, actions = lines[cookie].split("actions=")
        key = (tuple(f for f in fields.split(",") if f.startswith(("table=", "priority="))), actions)
        sums[key, "packets"] += packets
        sums[key, "bytes"] += size
    return sums


def differences(ours, theirs, our_rules, their_rules, counters, received, lines):
    """What is not as it must be, in words."""
    found = []
    mine, others = collections.Counter(ours), collections.Counter(theirs)
    for name, extra in (("only Shunt sent", mine - others), ("only Open vSwitch sent", others - mine)):
        if extra:
            frame, times = next(iter(extra.items()))
            found.append(f"{sum(extra.values())} frames that {name}, e.g. {times} x flow {flow_of(frame)[0]}: {frame.hex()}")
    # The order within a flow: port and number name it, the pass tells the order.
    last = {}
    for frame in ours:
        number, turn = flow_of(frame)
        key = (number, frame[6:12], frame[26:34])
        if turn < last.get(key, 0):
            found.append(f"flow {number}: pass {turn} left after pass {last[key]}")
            break
        last[key] = turn
    unlike = [c for c in sorted(our_rules.keys() | their_rules.keys()) if our_rules.get(c) != their_rules.get(c)]
    if unlike and tied(our_rules, lines) != tied(their_rules, lines):
        found += [f"rule `{lines.get(c)}`: Shunt counts {our_rules.get(c)}, Open vSwitch {their_rules.get(c)} (packets, bytes)" for c in unlike]
    first = sum(packets for cookie, (packets, _) in our_rules.items() if not lines[cookie].startswith(("table=1", "table=2", "table=3", "table=4")))
    misses = counters["drops"].get("no_match", 0)
    if first + misses != received:
        found.append(f"{received} frames received, {first} counted by rules of the first table and {misses} without a rule")
    return found


def verify(name, flows, passes, seed, root, huge_pages):
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        pcaps, rules = scenario.make(name, flows, seed, directory, passes)
        lines = numbered(rules)
        received = sum(len(read_pcap(pcap)) for pcap in pcaps)
        theirs, their_rules = through_ovs(root, pcaps, rules)
        ours, our_rules, counters = through_shunt(pcaps, rules, received, huge_pages)
    found = differences(ours, theirs, our_rules, their_rules, counters, received, lines)
    print(json.dumps({"verify": name, "flows": flows, "received": received, "sent": len(ours), "rules_hit": sum(p > 0 for p, _ in our_rules.values()),
                      "lookups": counters["lookups"], "drops": counters["drops"], "equal": not found}), flush=True)
    for text in found[:10]:
        print(f"{name}: {text}", flush=True)
    return not found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--flows", type=int, default=8000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--huge-pages", action="store_true", help="memory for large captures, in huge pages where there are any")
    args = parser.parse_args()
    try:
        root = host.run([host.ROOT / "scripts/ovs.sh", host.TARGET / "ovs"]).strip()
    except host.BenchError as e:
        print(f"skipped: {e}", file=sys.stderr)
        raise SystemExit(SKIPPED) from None
    results = [verify(name, args.flows, args.passes, args.seed, root, args.huge_pages) for name in args.scenarios]
    raise SystemExit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
