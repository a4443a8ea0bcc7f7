"""Shunt as a benchmark sees it: start, ports, rules, counters."""
import http.client
import json
import socket
import threading
import time

import host
from switch import Alone, Bench

# A daemon that grows beyond this is ended, before it takes the machine with it.
MOST_MEMORY = 6 << 30
FLOWS = "/v1/bridges/br0/flows"


class Connection(http.client.HTTPConnection):
    """HTTP over the daemon's socket, one connection for all requests."""

    def __init__(self, path):
        super().__init__("shuntd", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Shunt(Bench, Alone):
    """One shuntd with the bridge br0, alone in a directory of its own."""

    name = "shunt"

    def __init__(self, pmds=1, options="", **datapath):
        super().__init__("shunt-bench-")
        self.bin = host.programs()
        self.socket, self.log = self.dir / "s.sock", self.dir / "log"
        self.options = options
        # Every frame of a capture stays in a buffer.
        settings = {"mbufs": 262143, "memory_mib": 2048} | datapath
        self.cpus = [1] if pmds == 1 else list(reversed(range(pmds)))
        settings["pmd_cpus"] = self.cpus
        config = "[datapath]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        (self.dir / "shunt.toml").write_text(config)
        command = [self.bin / "shuntd", "--config", self.dir / "shunt.toml", "--socket", self.socket, "--state", self.dir / "state.redb"]
        self.process = host.spawn(command, self.log)
        self.processes.append(self.process)
        self.connection, self.used = Connection(self.socket), time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while self.process.poll() is None:
            try:
                if host.memory(self.process.pid)[0] > MOST_MEMORY:
                    host.note(f"shuntd is ended: it takes more than {MOST_MEMORY >> 30} GiB")
                    self.process.kill()
                    return
            except (OSError, ValueError):
                return
            time.sleep(0.25)

    def start(self):
        host.wait_for(self._answers, "shuntd", process=self.process, log=self.log)
        self.call("POST", "/v1/bridges", {"name": "br0", "fail_mode": "secure"})

    def __exit__(self, *_):
        self.connection.close()
        super().__exit__()

    def _answers(self):
        try:
            self.call("GET", "/v1/show")
            return True
        except OSError:
            return False

    def call(self, method, path, body=None):
        """One request; the decoded answer."""
        data = None if body is None else json.dumps(body)
        # The daemon closes connections that are silent for some seconds.
        if time.monotonic() - self.used > 2:
            self.connection.close()
        try:
            self.connection.request(method, path, data, {"content-type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read()
        except (http.client.HTTPException, OSError):
            self.connection.close()
            raise
        self.used = time.monotonic()
        if answer.status != 200:
            raise host.BenchError(f"shuntd: {method} {path}: {text.decode(errors='replace')}")
        return json.loads(text)

    def ctl(self, *args):
        return host.run([self.bin / "shuntctl", "--socket", self.socket, *args])

    def load(self, rules):
        self.ctl("flow", "add-file", "br0", rules)

    def change(self, *commands):
        """Rules in the form of a file of `ovs-ofctl add-flows`: `add ...`, `delete_strict ...`."""
        return self.call("POST", FLOWS, {"flows": list(commands), "commands": True})

    def port(self, name, devargs, number):
        self.call("POST", "/v1/bridges/br0/ports", {"name": name, "type": "dpdk", "devargs": devargs, "ofport": number})

    def counters(self):
        return self.call("GET", "/v1/dp/counters")

    def flow_count(self):
        return self.counters()["flows"]

    def misses(self):
        """Packets so far, and those of them that were translated."""
        counters = self.counters()
        return counters["rx_packets"], counters["lookups"].get("miss", 0)

    def rules(self):
        """Packets and bytes by cookie."""
        return {rule["cookie"]: (rule["packets"], rule["bytes"]) for rule in self.call("GET", FLOWS)}

    def measure(self, seconds):
        """What the PMD did in that time."""
        a = self.counters()
        time.sleep(seconds)
        return summary(a, self.counters(), self.options)


def summary(a, b, options=""):
    """The fields of peer_ovs.sh from two readings of the counters."""
    packets = b["rx_packets"] - a["rx_packets"]
    elapsed = b["cycles"] - a["cycles"]
    delta = lambda part, name: b.get(part, {}).get(name, 0) - a.get(part, {}).get(name, 0)
    hits = delta("lookups", "megaflow_hit")
    # What the PMDs counted; a daemon that does not count them is taken for busy all the time.
    busy = b.get("busy_cycles", 0) - a.get("busy_cycles", 0) or elapsed
    return {
        "switch": "shunt", "mpps": round(packets / (elapsed / b["cycles_per_second"]) / 1e6, 3),
        "cycles_per_packet": round(busy / max(packets, 1), 1), "upcalls": delta("lookups", "miss"), "megaflows": b["flows"],
        "subtables_per_megaflow_hit": round(delta("lookups", "subtables_probed") / max(hits, 1), 2), "options": options,
        "masks": b["masks"], "dropped_tx_full": b["drops"].get("tx_full", 0) - a["drops"].get("tx_full", 0),
        "busy": round(busy / max(elapsed, 1), 3),
    }
