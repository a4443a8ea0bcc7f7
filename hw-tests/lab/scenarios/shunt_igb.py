"""A NIC with VFs and without an eswitch: VFs by sysfs, settings through the PF, and a clear word about switchdev."""
# lab: devices igb
# lab: memory 1536
# lab: needs shuntd shuntctl

import os
from pathlib import Path

from labkit import equal, eventually, query, sh
from shunt import Shunt

sh("modprobe -a igb igbvf vfio-pci")
cards = sorted(Path("/sys/bus/pci/drivers/igb").glob("0000:*"))
pf = cards[0].resolve()
name = eventually(lambda: os.listdir(pf / "net"), what="netdev")[0]
sh(f"ip link set {name} up")
shunt = Shunt()

said = shunt.refused("eswitch", "set", f"pci/{pf.name}", "--mode", "switchdev", "--vfs", "2")
assert pf.name in said and "eswitch" in said, said
equal((pf / "sriov_numvfs").read_text().strip(), "0", "VFs after the refusal")

assert shunt("vf", "create", pf.name, "2") != "nothing to do"
equal(shunt("vf", "create", pf.name, "2"), "nothing to do", "again")
equal((pf / "sriov_numvfs").read_text().strip(), "2", "VFs")
assert "8" in shunt.refused("vf", "create", pf.name, "8")
shunt("vf", "set", f"{pf.name}/pf0vf0", "--mac", "02:11:22:33:44:55", "--vlan", "100", "--qos", "3")
shunt("vf", "set", f"{pf.name}/pf0vf1", "--trust", "on", "--spoof-check", "off")
vfs = query(f"ip -j link show {name}")[0]["vfinfo_list"]
equal((vfs[0]["address"], vfs[0]["vlan_list"]), ("02:11:22:33:44:55", [{"vlan": 100, "qos": 3}]), "VF 0")
equal((vfs[1]["trust"], vfs[1]["spoofchk"]), (True, False), "VF 1")

# A function for a virtual machine.
shunt("vf", "set", f"{pf.name}/pf0vf1", "--driver", "vfio-pci")
function = (pf / "virtfn1").resolve()
equal((function / "driver").resolve().name, "vfio-pci", "driver")
group = (function / "iommu_group").resolve().name
with open(f"/dev/vfio/{group}", "rb"):
    vf = shunt.json("vf", "show", f"{pf.name}/pf0vf1")
    equal((vf["driver"], vf["address"], vf["iommu_group"]), ("vfio-pci", function.name, int(group)), "VF 1")
    equal([h["pid"] for h in vf["holders"]], [os.getpid()], "who holds it")
    said = shunt.refused("vf", "destroy", pf.name)
    assert str(os.getpid()) in said, said
shunt("vf", "destroy", pf.name, "--disturb")
equal((pf / "sriov_numvfs").read_text().strip(), "0", "VFs at last")
