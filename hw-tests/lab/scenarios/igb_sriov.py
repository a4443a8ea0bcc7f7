"""QEMU's igb: SR-IOV functions of a real PCI device, with IOMMU groups; no eswitch, and so no devlink."""
# lab: devices igb

import os
from pathlib import Path

from labkit import Port, equal, eventually, query, sh, udp

sh("modprobe -a igb igbvf vfio-pci")
cards = sorted(Path("/sys/bus/pci/drivers/igb").glob("0000:*"))
equal(len(cards), 2, "igb cards")
pf = cards[0].resolve()
names = [eventually(lambda card=card: os.listdir(card / "net"), what="netdev")[0] for card in cards]

equal((pf / "sriov_totalvfs").read_text().strip(), "7", "VFs that it can have")
(pf / "sriov_numvfs").write_text("2")
functions = [(pf / f"virtfn{n}").resolve() for n in range(2)]
for function in functions:
    equal((function / "device").read_text().strip(), "0x10ca", "a VF's device id")
    equal((function / "physfn").resolve(), pf, "its PF")
groups = {(device / "iommu_group").resolve() for device in (pf, *functions)}
equal(len(groups), 3, "IOMMU groups")

# Settings go through the PF.
sh(f"ip link set {names[0]} up")
sh(f"ip link set {names[0]} vf 0 mac 02:11:22:33:44:55")
sh(f"ip link set {names[0]} vf 0 vlan 100 qos 3")
sh(f"ip link set {names[0]} vf 1 trust on")
sh(f"ip link set {names[0]} vf 1 spoofchk off")
vfs = query(f"ip -j link show {names[0]}")[0]["vfinfo_list"]
equal(vfs[0]["address"], "02:11:22:33:44:55", "VF 0's address")
equal(vfs[0]["vlan_list"], [{"vlan": 100, "qos": 3}], "VF 0's VLAN")
equal((vfs[1]["trust"], vfs[1]["spoofchk"]), (True, False), "VF 1's trust and spoof check")

# No eswitch: devlink does not know the device, and flower is not offloaded.
equal(query("devlink -j dev show")["dev"], {}, "devlink devices")
sh(f"devlink dev eswitch show pci/{pf.name}", ok=False)
sh(f"tc qdisc add dev {names[0]} clsact")
sh(f"tc filter add dev {names[0]} ingress protocol ip flower skip_sw dst_ip 10.0.0.1 action drop", ok=False)

# A VF for a process: bound to vfio-pci, its group has a device file.
vf = functions[1]
(vf / "driver_override").write_text("vfio-pci")
(vf / "driver" / "unbind").write_text(vf.name)
Path("/sys/bus/pci/drivers_probe").write_text(vf.name)
equal((vf / "driver").resolve().name, "vfio-pci", "driver")
group = (vf / "iommu_group").resolve().name
assert Path("/dev/vfio", group).exists(), f"no /dev/vfio/{group}"

# The two cards are on one wire.
sh(f"ip link set {names[1]} up")
eventually(lambda: all("LOWER_UP" in query(f"ip -j link show {name}")[0]["flags"] for name in names), what="link")
one, other = Port(names[0]), Port(names[1])
frame = udp(eth_dst="ff:ff:ff:ff:ff:ff", dport=4711)


def arrives():
    one.send(frame)
    return frame in other.drain()


eventually(arrives, what="a frame over the wire")
(pf / "sriov_numvfs").write_text("0")
