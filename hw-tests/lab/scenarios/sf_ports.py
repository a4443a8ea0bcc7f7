"""SFs are made and deleted as devlink ports, have representors and function attributes, and go with switchdev."""

from labkit import Netdevsim, equal, eventually, query, sh

nic = Netdevsim(1)
said = sh(f"devlink port add {nic.handle} flavour pcisf pfnum 0 sfnum 88", ok=False)
assert "SFs need mode switchdev" in said, said

nic.switchdev(1)
sh(f"devlink port add {nic.handle} flavour pcisf pfnum 0 sfnum 88")
sh(f"devlink port add {nic.handle} flavour pcisf pfnum 0")  # the driver chooses the number
said = sh(f"devlink port add {nic.handle} flavour pcisf pfnum 0 sfnum 88", ok=False)
assert "an SF with this sfnum exists" in said, said

ports = {index: port for index, port in nic.ports().items() if port["flavour"] == "pcisf"}
equal([port["sfnum"] for _, port in sorted(ports.items())], [0, 88], "SFs")
index = max(ports)
equal(nic.port(index)["function"]["state"], "inactive", "a new SF")
sh(f"devlink port function set {nic.handle}/{index} hw_addr 02:11:22:33:44:88 state active")
function = nic.port(index)["function"]
equal([function[k] for k in ("hw_addr", "state", "opstate")], ["02:11:22:33:44:88", "active", "attached"], "SF 88")
netdev = eventually(lambda: nic.ports()[index].get("netdev"), what="representor of SF 88")
equal(query(f"ip -d -j link show {netdev}")[0]["phys_port_name"], "pf0sf88", "phys_port_name")

sh(f"devlink port del {nic.handle}/{index}")
assert index not in nic.ports()
sh(f"devlink port del {nic.handle}/128", ok=False)  # a VF's port cannot be deleted so

nic.set_mode("legacy")
equal(sorted(nic.ports()), [0], "ports in legacy")
