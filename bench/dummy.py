"""Open vSwitch with its dummy datapath: its userspace switch without DPDK, without root and without huge pages.

Frames go in through its control socket, what leaves a port is written to a capture. For what it does, not for how fast.
"""
import json
import platform
import re
import socket
import time

import host
from shapes import INPUTS
from switch import OUTPUT, Vswitchd

# A dummy port keeps 100 frames at most until the switch takes them; more are lost.
QUEUE = 96


class Dummy(Vswitchd):
    """One ovs-vswitchd of the packages that scripts/ovs.sh unpacked into `root`, with the bridge br0."""

    def __init__(self, root, inputs):
        super().__init__("shunt-dummy-", root)
        self.inputs = INPUTS[:inputs]
        libs = [str(self.root / lib / f"{platform.machine()}-linux-gnu") for lib in ("usr/lib", "lib")]
        self.env["LD_LIBRARY_PATH"] = ":".join(libs)
        self.control, self.out = None, self.dir / "out.pcap"

    def start(self):
        self.start_database(["vlan-limit=2"])
        control = self.start_switch("usr/lib/openvswitch-switch/ovs-vswitchd", "--enable-dummy=override", "--disable-system")
        words = "add-br br0 -- set bridge br0 fail-mode=secure datapath_type=dummy".split()
        for port in (*self.inputs, OUTPUT):
            words += f"-- add-port br0 p{port} -- set Interface p{port} type=dummy ofport_request={port}".split()
        self.vsctl(*words, f"options:tx_pcap={self.out}")
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control.settimeout(60)
        self.control.connect(str(control))

    def __exit__(self, *_):
        if self.control:
            self.control.close()
        super().__exit__()

    def call(self, method, *params):
        """One command of ovs-appctl: JSON-RPC on the control socket."""
        self.control.sendall(json.dumps({"method": method, "params": params, "id": 0}).encode())
        decoder, text = json.JSONDecoder(), ""
        while True:
            some = self.control.recv(1 << 16)
            if not some:
                raise host.BenchError("ovs-vswitchd ended")
            text += some.decode()
            try:
                answer, _ = decoder.raw_decode(text)
            except ValueError:
                continue
            if answer.get("error"):
                raise host.BenchError(f"ovs-vswitchd: {method}: {answer['error']}")
            return answer["result"]

    def lookups(self):
        """Packets that the datapath has looked up."""
        return sum(int(n) for n in re.findall(r"(?:hit|missed):(\d+)", self.call("dpif/show").splitlines()[0]))

    def send(self, port, frames):
        """Frames into a port; all have been switched when this returns."""
        done = self.lookups()
        for i in range(0, len(frames), QUEUE):
            some = frames[i:i + QUEUE]
            self.call("netdev-dummy/receive", f"p{port}", *(frame.hex() for frame in some))
            done += len(some)
            until = time.monotonic() + 30
            while self.lookups() < done:
                if time.monotonic() > until:
                    raise host.BenchError(f"ovs-vswitchd did not take {len(some)} frames within 30 s")

    def rules(self):
        """Packets and bytes by cookie. What its flows have counted goes to the rules when they are removed."""
        self.call("revalidator/purge")
        found = re.findall(r"cookie=0x([0-9a-f]+),.*n_packets=(\d+), n_bytes=(\d+)", self.ofctl("dump-flows"))
        return {int(cookie, 16): (int(packets), int(size)) for cookie, packets, size in found}
