"""What scenarios use in the guest: commands, netdevsim devices, frames in and out."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ETH_P_ALL = 3
SKIP = 75  # exit code of a scenario that cannot run here


def skip(reason):
    """Ends the scenario: it cannot run here."""
    print(reason)
    sys.exit(SKIP)


def sh(command, ok=True):
    """Runs a command line; what it printed. `ok=False`: it must fail, and what it said on stderr is returned."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    print(f"$ {command}\n{done.stdout}{done.stderr}".rstrip(), flush=True)
    assert (done.returncode == 0) == ok, f"'{command}' returned {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if ok else done.stderr


def query(command):
    """The JSON that a command of iproute2 prints."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"'{command}' returned {done.returncode}: {done.stderr}"
    return json.loads(done.stdout or "[]")


def equal(got, wanted, what=""):
    assert got == wanted, f"{what or 'value'}: is {got!r}, wanted {wanted!r}"


def stood_still():
    """Seconds that this guest has stood still so far, because its machine's CPUs did other things."""
    try:
        return float(Path("/lab/waited").read_text())
    except (OSError, ValueError):  # just being written
        return 0.0


def eventually(check, seconds=20, what="condition"):
    """Waits until `check()` is true: the guest may be slow, so nothing waits for a fixed time."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


# --- devices ---------------------------------------------------------------------------------------------------------


class Nic:
    """What a NIC with devlink is asked, whatever it is: `handle` for devlink, `bus` its folder in sysfs."""

    simulated = False

    def __init__(self, handle, bus):
        self.handle = handle
        self.bus = bus

    def ports(self):
        """What `devlink port show` says, by port index."""
        every = query("devlink -j port show")["port"]
        return {int(key.rsplit("/", 1)[1]): port for key, port in every.items() if key.startswith(self.handle + "/")}

    def port(self, index):
        """One port with its function's attributes, which the list leaves out."""
        return next(iter(query(f"devlink -j port show {self.handle}/{index}")["port"].values()))

    def vf_ports(self):
        """The devlink port indices of VFs of this host, by VF number."""
        return {port["vfnum"]: index for index, port in self.ports().items()
                if port["flavour"] == "pcivf" and port.get("controller", 0) == 0}

    def vf_port(self, vf):
        return self.port(self.vf_ports()[vf])

    def vf_rate(self, vf):
        """What `devlink port function rate show` says of a VF; bytes a second."""
        shown = query(f"devlink -j port function rate show {self.handle}/{self.vf_ports()[vf]}")
        return next(iter(shown["rate"].values()))

    def representors(self, vfs):
        """The netdevs of the representors of VFs 0 to `vfs` - 1, found by their devlink ports."""
        def find():
            ports = self.ports()
            found = {vf: ports[index].get("netdev") for vf, index in self.vf_ports().items()}
            return [found[n] for n in range(vfs)] if len(found) == vfs and all(found.values()) else None
        return eventually(find, what=f"{vfs} representors") if vfs else []

    def representor(self, vf):
        """The netdev of a VF's representor."""
        def find():
            index = self.vf_ports().get(vf)
            return None if index is None else self.ports()[index].get("netdev")
        return eventually(find, what=f"representor of VF {vf}")

    def eswitch(self):
        return query(f"devlink -j dev eswitch show {self.handle}")["dev"][self.handle]

    def mode(self):
        return self.eswitch()["mode"]

    def set_mode(self, mode):
        sh(f"devlink dev eswitch set {self.handle} mode {mode}")

    def vfs(self):
        return int((self.bus / "sriov_numvfs").read_text())

    def set_vfs(self, count):
        (self.bus / "sriov_numvfs").write_text(str(count))

    def switchdev(self, vfs):
        """Into switchdev with `vfs` VFs; the representors."""
        self.set_vfs(vfs)
        self.set_mode("switchdev")
        return self.representors(vfs)


class Netdevsim(Nic):
    """A simulated NIC with `ports` uplinks and room for `max_vfs` VFs."""

    simulated = True

    def __init__(self, number, ports=1, max_vfs=None):
        super().__init__(f"netdevsim/netdevsim{number}", Path(f"/sys/bus/netdevsim/devices/netdevsim{number}"))
        self.number = number
        self.debug = Path(f"/sys/kernel/debug/netdevsim/netdevsim{number}")
        Path("/sys/bus/netdevsim/new_device").write_text(f"{number} {ports}")
        eventually(lambda: len(self.ports()) == ports, what=f"{self.handle} with {ports} ports")
        if max_vfs is not None:
            (self.debug / "max_vfs").write_text(str(max_vfs))

    def remove(self):
        Path("/sys/bus/netdevsim/del_device").write_text(str(self.number))

    def uplink(self, n=0):
        return eventually(lambda: self.ports()[n].get("netdev"), what=f"netdev of uplink {n}")

    def lab(self, name, value=None):
        """Reads or writes a file of our debugfs folder."""
        file = self.debug / "lab" / name
        if value is None:
            return file.read_text().strip()
        file.write_text(str(value))
        return None

    def vm_ends(self, count):
        """Netdevs that stand for VFs 0 to `count` - 1 as virtual machines see them: ports of another NIC, wired to the representors."""
        far = Netdevsim(self.number + 1, count)
        ends = [far.uplink(n) for n in range(count)]
        for representor, end in zip(self.representors(count), ends):
            wire(representor, end)
        return ends


class RealNic(Nic):
    """A PF of this machine, by PCI address."""

    def __init__(self, address):
        super().__init__(f"pci/{address}", Path(f"/sys/bus/pci/devices/{address}"))

    def has_eswitch(self):
        done = subprocess.run(["devlink", "-j", "dev", "eswitch", "show", self.handle], capture_output=True, text=True,
                              check=False)
        return done.returncode == 0

    def uplink(self):
        """The PF's netdev. A representor has the PF as its device in sysfs too: the uplink is who is not another devlink port's."""
        def find():
            names = sorted(os.listdir(self.bus / "net")) if (self.bus / "net").is_dir() else []
            uplinks = [port.get("netdev") for port in self.ports().values() if port["flavour"] == "physical"]
            return next((name for name in names if name in uplinks), names[0] if len(names) == 1 else None)
        return eventually(find, what=f"netdev of {self.handle}")

    def vm_ends(self, count):
        """The netdevs of VFs 0 to `count` - 1, up. The VFs' own driver has to be there."""
        ends = []
        for vf in range(count):
            folder = self.bus / f"virtfn{vf}" / "net"
            ends.append(eventually(lambda: folder.is_dir() and next(iter(os.listdir(folder)), None),
                                   what=f"a netdev of VF {vf}: load the driver of the VFs"))
            sh(f"ip link set {ends[-1]} up")
        return ends


def nic(max_vfs=None):
    """The NIC that a scenario is about: the real one of `make hw-test`, else a simulated one."""
    address = os.environ.get("SHUNT_LAB_PF")
    return RealNic(address) if address else Netdevsim(1, max_vfs=max_vfs)


def wire(one, other):
    """Links two netdevsim netdevs like a cable, and sets them up with offload switched on; they say nothing by
    themselves (no IPv6).
    """
    with open("/proc/self/ns/net", encoding="ascii") as namespace:
        a, b = (socket.if_nametoindex(name) for name in (one, other))
        fd = namespace.fileno()
        Path("/sys/bus/netdevsim/link_device").write_text(f"{fd}:{a} {fd}:{b}")
    for name in (one, other):
        sh(f"sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1")
        sh(f"ip link set {name} up")
        sh(f"ethtool -K {name} hw-tc-offload on")
    eventually(lambda: all("LOWER_UP" in flags(name) for name in (one, other)), what=f"{one} and {other} up")


def flags(name):
    return query(f"ip -j link show {name}")[0]["flags"]


def offloads(name):
    """Whether rules may go into hardware (`hw-tc-offload`)."""
    done = subprocess.run(["ethtool", "-k", name], capture_output=True, text=True, check=True)
    return "hw-tc-offload: on" in done.stdout


class Cabled:
    """A NIC in switchdev whose uplink and VFs each lead to a netdev of their own: `wire_end` for the cable,
    `vf_ends[n]` for what would be in the VM.
    """

    def __init__(self, vfs=2):
        self.nic = Netdevsim(1)
        self.far = Netdevsim(2, 1 + vfs)
        self.representors = self.nic.switchdev(vfs)
        self.uplink = self.nic.uplink()
        self.wire_end = self.far.uplink(0)
        self.vf_ends = [self.far.uplink(1 + n) for n in range(vfs)]
        wire(self.uplink, self.wire_end)
        for representor, end in zip(self.representors, self.vf_ends):
            wire(representor, end)
        for name in (self.uplink, *self.representors):
            sh(f"tc qdisc add dev {name} clsact")


# --- tc --------------------------------------------------------------------------------------------------------------


def rules(device):
    """The flower rules of a device's ingress, as `tc -j -s` says them; the headings between them left out."""
    return [rule for rule in query(f"tc -j -s filter show dev {device} ingress") if "keys" in rule.get("options", {})]


def actions(device, pref):
    """The actions of the rule with this pref."""
    for rule in rules(device):
        if rule["pref"] == pref:
            return rule["options"]["actions"]
    raise AssertionError(f"{device} has no rule with pref {pref}")


def hardware(device, pref, action=0):
    """Packets and bytes that the hardware counted for one action of a rule."""
    stats = actions(device, pref)[action]["stats"]
    return stats.get("hw_packets", 0), stats.get("hw_bytes", 0)


# --- frames ----------------------------------------------------------------------------------------------------------


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def udp(src="10.0.0.1", dst="10.0.0.2", sport=1000, dport=2000, size=100, ttl=64, vlan=None,
        eth_src="02:00:00:00:01:01", eth_dst="02:00:00:00:01:02"):
    """An Ethernet frame with UDP over IPv4, `size` bytes long without a VLAN tag; its checksums are right."""
    payload = bytes(i & 0xFF for i in range(size - 14 - 20 - 8))
    addresses = socket.inet_aton(src) + socket.inet_aton(dst)
    header = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    pseudo = addresses + struct.pack("!BBH", 0, 17, len(header) + len(payload))
    segment = header[:6] + struct.pack("!H", checksum(pseudo + header + payload) or 0xFFFF) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, ttl, 17, 0) + addresses
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return mac(eth_dst) + mac(eth_src) + tag + b"\x08\x00" + ip + segment


class Port:
    """A packet socket on a netdev: sends frames into it, and keeps what arrives there."""

    AUXDATA = 8  # PACKET_AUXDATA: the kernel takes the outer VLAN tag off and tells it there
    SOL_PACKET = 263
    OUTGOING = 4  # sll_pkttype of our own frames

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(self.SOL_PACKET, self.AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((name, ETH_P_ALL))
        self.socket.setblocking(False)
        self.frames = []

    def send(self, frame, count=1):
        for _ in range(count):
            self.socket.send(frame)

    def drain(self):
        """Takes in what has arrived; all frames since the last clear()."""
        while True:
            try:
                data, ancillary, _, address = self.socket.recvmsg(65536, 128)
            except BlockingIOError:
                return self.frames
            if address[2] == self.OUTGOING:
                continue
            for level, kind, value in ancillary:
                if (level, kind) == (self.SOL_PACKET, self.AUXDATA):
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", value[:20])
                    if status & 0x10:  # TP_STATUS_VLAN_VALID
                        data = data[:12] + struct.pack("!HH", tpid if status & 0x40 else 0x8100, tci) + data[12:]
            self.frames.append(data)

    def clear(self):
        self.drain()
        self.frames = []

    def expect(self, count, seconds=20):
        """Waits for `count` frames, and that there are not more; they are returned and forgotten."""
        eventually(lambda: len(self.drain()) >= count, seconds, f"{count} frames at {self.name}")
        time.sleep(0.1)
        got = self.drain()
        equal(len(got), count, f"frames at {self.name}")
        self.frames = []
        return got


# --- what is left behind ---------------------------------------------------------------------------------------------

DUMPS = ("devlink -jp dev show", "devlink dev eswitch show netdevsim/netdevsim1", "devlink -jp port show",
         "devlink port function rate show", "ip -d -s link show", "ip -d addr show", "tc -s qdisc show",
         "tc -s actions list action police", "cat /sys/bus/netdevsim/devices/*/sriov_numvfs", "lspci -nn", "dmesg",
         "cat /tmp/shunt/log")


# The process that captures, and the scenario's folder on the host.
_capture = None
_folder = None


def begin(folder):
    """Starts a capture of all devices, which is kept (with dumps of devlink, ip and tc) when the scenario fails."""
    global _capture, _folder
    _folder = folder
    try:
        with open(folder / "tcpdump.log", "wb") as log:
            _capture = subprocess.Popen(["tcpdump", "-i", "any", "-n", "-U", "-w", str(folder / "capture.pcap")],
                                        stdout=log, stderr=log)
    except FileNotFoundError:
        print("tcpdump is not installed: no capture")


def end(code):
    """Keeps what tells why the scenario failed."""
    if code not in (0, SKIP):
        dump()
    if _capture:
        _capture.send_signal(signal.SIGINT)
        _capture.wait(10)
    if code in (0, SKIP):
        (_folder / "capture.pcap").unlink(missing_ok=True)


def dump():
    folder = _folder / "dumps"
    folder.mkdir(exist_ok=True)
    commands = list(DUMPS)
    for name in os.listdir("/sys/class/net"):
        commands.append(f"tc -d -s filter show dev {name} ingress")
    for command in commands:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        (folder / command.replace("/", "-").replace(" ", "_")).write_text(done.stdout + done.stderr)
