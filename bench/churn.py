#!/usr/bin/env python3
"""Rule changes under traffic: what they cost in throughput, and how soon they are acknowledged. One line of JSON each.

    churn.py [FLOWS ...] [--rate N]

The scenario `acl` runs undisturbed, then with 1,000 changes a second, then undisturbed again. Changes are an addition, a
modification and a removal of one rule each in turn, each a request of its own, due at a fixed time whether or not earlier ones were
acknowledged; a latency is counted from that time. The rules (destination prefixes of /28) cover live flows.
"""
import argparse
import collections
import json
import random
import selectors
import socket
import statistics
import tempfile
import time

import host
import run as one
import scenario
from shunt import FLOWS as PATH
from shunt import Shunt, summary

FLOWS = (8000, 100_000)
RATE = 1000
CONNECTIONS = 32
PATIENCE = 5.0


def commands(rng):
    """Changes without end: each rule is added, later changed, later removed. As many others lie between as keep these in order
    on several connections."""
    live = collections.deque()
    while True:
        net = "11.0.%d.%d/28" % (rng.randrange(256), rng.randrange(16) * 16)
        live.append(f"priority={rng.randrange(210, 290)},ip,in_port=1,nw_dst={net}")
        yield f"add {live[-1]},actions=mod_dl_dst:02:00:00:00:09:01,output:2"
        if len(live) > CONNECTIONS:
            yield f"modify_strict {live[-CONNECTIONS]},actions=dec_ttl,output:2"
        if len(live) > 2 * CONNECTIONS:
            yield f"delete_strict {live.popleft()}"


def request(command):
    body = json.dumps({"flows": [command], "commands": True})
    return (f"POST {PATH} HTTP/1.1\r\nhost: shuntd\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}").encode()


class Client:
    """Several connections; each has one request under way at most. They take turns, so that none is idle for as long as the daemon
    keeps a silent connection; one that was closed while it was idle is made anew."""

    def __init__(self, path):
        self.path = str(path)
        self.selector = selectors.DefaultSelector()
        self.free = collections.deque()
        self.answers = {}
        for _ in range(CONNECTIONS):
            self.connect()
        self.due = {}
        self.latencies, self.refused, self.unfenced, self.reconnects = [], 0, 0, 0

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(self.path)
        s.setblocking(False)
        self.selector.register(s, selectors.EVENT_READ)
        self.free.append(s)

    def send(self, due, command):
        s = self.free.popleft()
        self.due[s], self.answers[s] = due, b""
        # A change is far smaller than a socket's buffer.
        s.sendall(request(command))

    def ended(self, s):
        if s in self.due:
            raise host.BenchError("shuntd closed a connection with a change under way")
        self.selector.unregister(s)
        self.free.remove(s)
        s.close()
        self.connect()
        self.reconnects += 1

    def receive(self, timeout):
        for key, _ in self.selector.select(timeout):
            s = key.fileobj
            some = s.recv(65536)
            if not some:
                self.ended(s)
                continue
            self.answers[s] += some
            head, found, body = self.answers[s].partition(b"\r\n\r\n")
            if not found:
                continue
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(body) >= length:
                self.latencies.append(time.monotonic() - self.due.pop(s))
                self.free.append(s)
                self.refused += b" 200 " not in head.split(b"\r\n")[0]
                self.unfenced += b'"workers":"fenced"' not in body

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def change(client, rate, seconds):
    """Send on schedule; how long it took until all were answered."""
    changes, waiting = commands(random.Random(3)), collections.deque()
    start, sent, total = time.monotonic(), 0, int(rate * seconds)
    while True:
        now = time.monotonic()
        while sent < total and start + sent / rate <= now:
            waiting.append((start + sent / rate, next(changes)))
            sent += 1
        while waiting and client.free:
            client.send(*waiting.popleft())
        if (sent == total and not waiting and not client.due) or now - start > seconds + PATIENCE:
            return now - start
        client.receive(max(0.0, min(0.01, start + sent / rate - now)) if sent < total else 0.05)


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


def window(switch, action):
    """What the PMD did meanwhile."""
    before = switch.counters()
    action()
    return summary(before, switch.counters())


def run(flows, seconds=3, rate=RATE):
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        pcaps, rules = scenario.make("acl", flows, 7, directory)
        with Shunt() as switch:
            switch.sink()
            switch.load(rules)
            switch.source(pcaps)
            one.settle(switch)
            took = []
            with host.aside():
                before = window(switch, lambda: time.sleep(seconds))
                client = Client(switch.socket)
                try:
                    during = window(switch, lambda: took.append(change(client, rate, max(10, seconds) if seconds > 2 else 4)))
                    time.sleep(0.5)
                    after = window(switch, lambda: time.sleep(seconds))
                finally:
                    client.close()
    undisturbed = statistics.mean([before["mpps"], after["mpps"]])
    relative = during["mpps"] / undisturbed if undisturbed else 0.0
    ms = lambda percent: round(percentile(client.latencies, percent) * 1000, 2)
    achieved = len(client.latencies) / took[0]
    result = {"bench": "churn", "switch": "shunt", "flows": flows, "mpps_undisturbed": round(undisturbed, 3), "mpps": during["mpps"],
              "relative": round(relative, 3), "changes_per_s": round(achieved), "answered": len(client.latencies), "refused": client.refused,
              "not_fenced": client.unfenced, "ack_ms_p50": ms(50), "ack_ms_p99": ms(99), "ack_ms_max": ms(100),
              "goal": ">= 80 % of undisturbed at 1,000 changes a second, acknowledge p99 <= 10 ms"}
    result["pass"] = relative >= 0.8 and ms(99) <= 10 and achieved >= 0.95 * rate and not client.refused and not client.unfenced
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flows", nargs="*", type=int, default=list(FLOWS))
    parser.add_argument("--rate", type=int, default=RATE)
    args = parser.parse_args()
    for flows in args.flows:
        print(json.dumps(run(flows, rate=args.rate)), flush=True)


if __name__ == "__main__":
    main()
