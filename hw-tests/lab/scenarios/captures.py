"""What iproute2 and ethtool say to the kernel and hear from it, byte by byte: /lab/captures gets the files from which the
tests of devlink-rs and netlink learn. They are as told: each request is answered, each command does what it says."""

import json
import os
import socket
import struct
import subprocess
from pathlib import Path

from labkit import Netdevsim, equal, eventually, sh

FOLDER = Path("/lab/captures/made")
ROUTE, GENERIC = 0, 16
REQUEST = 1  # NLM_F_REQUEST: to the kernel
CTRL, ERROR, DONE = 16, 2, 3
HEAD = f"""# Captured with nlmon in a virtual machine: Linux {os.uname().release}, iproute2 {{}}, netdevsim with the additions of
# hw-tests/lab/netdevsim. Little-endian. '>' to the kernel, '<' from it, one message a line.
"""


class Monitor:
    """All netlink messages of the guest."""

    def __init__(self):
        sh("modprobe nlmon")
        sh("ip link add nlmon0 type nlmon")
        sh("ip link set nlmon0 up")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("nlmon0", 3))
        self.socket.setblocking(False)

    def take(self, family):
        """The messages of a protocol since the last time: to the kernel (or not), bytes."""
        messages = []
        while True:
            try:
                data, address = self.socket.recvfrom(1 << 20)
            except BlockingIOError:
                return messages
            if address[1] != family:
                continue
            while len(data) >= 16:
                length, _, flags = struct.unpack("=IHH", data[:8])
                if length < 16:
                    break
                messages.append((bool(flags & REQUEST), data[:length]))
                data = data[(length + 3) & ~3:]


monitor = Monitor()
FOLDER.mkdir(parents=True, exist_ok=True)
VERSION = sh("ip -V").split("iproute2-")[1].split(",")[0]


def kind(message):
    return struct.unpack("=H", message[4:6])[0]


def of_controller(message):
    """Looking families up, and its acknowledgements."""
    return kind(message) == CTRL or kind(message) == ERROR and struct.unpack("=H", message[24:26])[0] == CTRL


def write(name, command, messages, said="", refusal=""):
    lines = [HEAD.format(VERSION) + f"$ {command}"]
    lines += [f"{'>' if sent else '<'} {message.hex()}" for sent, message in messages]
    if said.startswith(("{", "[")):
        lines.append("= " + json.dumps(json.loads(said), separators=(",", ":")))
    if refusal:
        lines.append("! " + refusal.splitlines()[0])
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")


def capture(name, command, family=GENERIC, ok=True, requests=1):
    """One command: so many requests, the last ones that it sent (before, it asks what it has to know), and what came back."""
    monitor.take(family)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    equal(done.returncode == 0, ok, f"'{command}': {done.stderr}")
    messages = [(sent, m) for sent, m in monitor.take(family) if family == ROUTE or not of_controller(m)]
    assert any(sent for sent, _ in messages) and any(not sent for sent, _ in messages), f"{command}: {messages}"
    first = [at for at, (sent, _) in enumerate(messages) if sent][-requests]
    write(name, command, messages[first:], done.stdout.strip(), "" if ok else done.stderr)
    return messages


nic = Netdevsim(1)
pf = nic.handle
nic.switchdev(2)
rep = nic.representor(0)
ifindex = socket.if_nametoindex(rep)

# Sub-functions: our netdevsim has them.
capture("port_add_sf", f"devlink -j port add {pf} flavour pcisf pfnum 0 sfnum 88")
sf = next(index for index, port in nic.ports().items() if port["flavour"] == "pcisf")
capture("port_show_sf", f"devlink -j port show {pf}/{sf}")
capture("function_set_sf", f"devlink port function set {pf}/{sf} hw_addr 02:11:22:33:44:88 state active")
capture("port_show_sf_active", f"devlink -j port show {pf}/{sf}")
capture("port_add_sf_refused", f"devlink port add {pf} flavour pcisf pfnum 0 sfnum 88", ok=False)
capture("port_del_sf", f"devlink port del {pf}/{sf}")

# What is heard of a sub-function that comes and goes.
with subprocess.Popen(["devlink", "monitor"], stdout=subprocess.PIPE, text=True) as listener:
    eventually(lambda: [line for line in open("/proc/net/netlink", encoding="ascii") if line.split()[1] == "16"
                        and int(line.split()[3], 16)], what="a listener")
    monitor.take(GENERIC)
    sh(f"devlink port add {pf} flavour pcisf pfnum 0 sfnum 7")
    sf = next(index for index, port in nic.ports().items() if port["flavour"] == "pcisf")
    sh(f"devlink port del {pf}/{sf}")
    heard = [(sent, m) for sent, m in monitor.take(GENERIC) if not sent and kind(m) not in (CTRL, ERROR, DONE)]
    events = [(sent, m) for sent, m in heard if struct.unpack("=II", m[8:16]) == (0, 0)]
    assert len(events) >= 2, heard
    write("events_sf", "devlink monitor", events)
    listener.terminate()

# Links: what they are, and how they are set.
capture("link_show_rep", f"ip -d -j link show {rep}", ROUTE)
capture("link_set_mtu", f"ip link set dev {rep} mtu 9000", ROUTE)
capture("link_set_up", f"ip link set dev {rep} up", ROUTE)
capture("link_set_down", f"ip link set dev {rep} down", ROUTE)
capture("link_set_refused", f"ip link set dev {rep} mtu 10", ROUTE, ok=False)
uplink = nic.uplink()
capture("vf_set_mac", f"ip link set dev {uplink} vf 1 mac 02:00:00:00:00:09", ROUTE)
capture("vf_set_refused", f"ip link set dev {uplink} vf 9 trust on", ROUTE, ok=False)
capture("link_show_pf", f"ip -d -j link show {uplink}", ROUTE)

# Qdiscs that rules hang on.
sh(f"tc qdisc add dev {rep} clsact")
capture("qdisc_show", "tc -j qdisc show", ROUTE)

# Features, with names and without.
capture("features_set", f"ethtool -K {rep} hw-tc-offload on")
capture("features_show", f"ethtool -k {rep}")
# ethtool asks for all devices first and for the names afterwards.
capture("features_show_all", "ethtool -k '*'", requests=2)
print(f"{len(list(FOLDER.glob('*.txt')))} captures in {FOLDER}, of interface {ifindex}")
