"""Open vSwitch with its dummy datapath: its userspace switch without DPDK, without root and without huge pages.

Frames go in through its control socket, what leaves a port is written to a capture. For what it does, not for how fast.
"""
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import tempfile
import time

import host
from shapes import INPUTS

OUTPUT = 2
# A dummy port keeps 100 frames at most until the switch takes them; more are lost.
QUEUE = 96


class Dummy:
    """One ovs-vswitchd of the packages that scripts/ovs.sh unpacked into `root`, with the bridge br0."""

    def __init__(self, root, inputs):
        self.root, self.inputs = pathlib.Path(root), INPUTS[:inputs]
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="shunt-dummy-"))
        libs = [str(self.root / lib / f"{platform.machine()}-linux-gnu") for lib in ("usr/lib", "lib")]
        self.env = dict(os.environ, LD_LIBRARY_PATH=":".join(libs),
                        **{name: str(self.dir) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")})
        self.processes, self.control, self.out = [], None, self.dir / "out.pcap"

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        database, remote, control = self.dir / "conf.db", self.dir / "db.sock", self.dir / "vswitchd.ctl"
        self._run("usr/bin/ovsdb-tool", "create", database, self.root / "usr/share/openvswitch/vswitch.ovsschema")
        self._spawn("usr/sbin/ovsdb-server", database, f"--remote=punix:{remote}")
        host.wait_for(remote.exists, "ovsdb-server", process=self.processes[-1])
        self._vsctl("--no-wait", "init")
        self._vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self._spawn("usr/lib/openvswitch-switch/ovs-vswitchd", f"unix:{remote}", "--enable-dummy=override", "--disable-system",
                    f"--unixctl={control}")
        host.wait_for(control.exists, "ovs-vswitchd", process=self.processes[-1])
        words = "add-br br0 -- set bridge br0 fail-mode=secure datapath_type=dummy".split()
        for port in (*self.inputs, OUTPUT):
            words += f"-- add-port br0 p{port} -- set Interface p{port} type=dummy ofport_request={port}".split()
        self._vsctl(*words, f"options:tx_pcap={self.out}")
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control.settimeout(60)
        self.control.connect(str(control))

    def __exit__(self, *_):
        if self.control:
            self.control.close()
        for process in reversed(self.processes):
            host.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _run(self, program, *args):
        return host.run([self.root / program, *args], env=self.env)

    def _vsctl(self, *args):
        self._run("usr/bin/ovs-vsctl", f"--db=unix:{self.dir}/db.sock", "--timeout=30", *args)

    def _ofctl(self, command, *args):
        return self._run("usr/bin/ovs-ofctl", command, f"unix:{self.dir}/br0.mgmt", *args)

    def _spawn(self, program, *args):
        command = [self.root / program, *args, "-vconsole:off", "-vsyslog:off", f"--log-file={self.dir}/{pathlib.Path(program).name}.log"]
        self.processes.append(host.spawn(command, self.dir / "out", env=self.env, cwd=self.dir))

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

    def load(self, rules):
        self._ofctl("add-flows", rules)

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
        found = re.findall(r"cookie=0x([0-9a-f]+),.*n_packets=(\d+), n_bytes=(\d+)", self._ofctl("dump-flows"))
        return {int(cookie, 16): (int(packets), int(size)) for cookie, packets, size in found}
