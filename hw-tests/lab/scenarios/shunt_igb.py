"""A NIC with VFs and without an eswitch: VFs by sysfs, settings through the PF, and a clear word about switchdev."""
# lab: devices igb
# lab: memory 1536
# lab: needs shuntd shuntctl
# lab: real sriov

import os
from pathlib import Path

from labkit import RealNic, equal, query, sh
from shunt import Shunt

address = os.environ.get("SHUNT_LAB_PF")
if not address:
    sh("modprobe -a igb igbvf vfio-pci")
    address = min(Path("/sys/bus/pci/drivers/igb").glob("0000:*")).name
nic = RealNic(address)
pf = nic.bus.resolve()
name = nic.uplink()
sh(f"ip link set {name} up")
shunt = Shunt()

said = shunt.refused("eswitch", "set", f"pci/{pf.name}", "--mode", "switchdev", "--vfs", "2")
assert pf.name in said and "eswitch" in said, said
equal((pf / "sriov_numvfs").read_text().strip(), "0", "VFs after the refusal")

assert shunt("vf", "create", pf.name, "2") != "nothing to do"
equal(shunt("vf", "create", pf.name, "2"), "nothing to do", "again")
equal((pf / "sriov_numvfs").read_text().strip(), "2", "VFs")
most = int((pf / "sriov_totalvfs").read_text())
assert str(most + 1) in shunt.refused("vf", "create", pf.name, str(most + 1))
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
