"""netdevsim from legacy to switchdev with VFs and back, and the settings of the eswitch and of port functions."""

from labkit import Netdevsim, equal, query, sh

nic = Netdevsim(1, 2)
equal(nic.eswitch(), {"mode": "legacy", "inline-mode": "none", "encap-mode": "basic"}, "a new eswitch")
equal(sorted(nic.ports()), [0, 1], "ports of a new NIC")

# Legacy: VFs have no representors.
nic.set_vfs(4)
equal(sorted(nic.ports()), [0, 1], "ports in legacy with VFs")
said = sh(f"devlink dev eswitch set {nic.handle} inline-mode transport", ok=False)
assert "inline-mode can be set in mode switchdev only" in said, said

# Switchdev: a representor for each, all of one switch, found by controller, pf and vf.
nic.set_mode("switchdev")
nic.set_mode("switchdev")  # again: nothing happens
ports = nic.ports()
equal(sorted(ports), [0, 1, 128, 129, 130, 131], "ports in switchdev")
switches = set()
for n in range(4):
    port = ports[128 + n]
    equal([port[k] for k in ("flavour", "controller", "pfnum", "vfnum", "external")], ["pcivf", 0, 0, n, False],
          f"VF {n}'s port")
    link = query(f"ip -d -j link show {nic.representor(n)}")[0]
    equal(link["phys_port_name"], f"pf0vf{n}", "phys_port_name")
    switches.add(link["phys_switch_id"])
for n in range(2):
    link = query(f"ip -d -j link show {nic.uplink(n)}")[0]
    equal(link["phys_port_name"], f"p{n + 1}", "phys_port_name")
    switches.add(link["phys_switch_id"])
equal(len(switches), 1, "switches")

# The eswitch's other modes.
sh(f"devlink dev eswitch set {nic.handle} inline-mode transport")
sh(f"devlink dev eswitch set {nic.handle} encap-mode none")
equal(nic.eswitch(), {"mode": "switchdev", "inline-mode": "transport", "encap-mode": "none"}, "eswitch")

# Functions of VFs: read back from devlink, and for the address from the PF too.
function = nic.port(129)["function"]
equal([function[k] for k in ("hw_addr", "state", "opstate")], ["00:00:00:00:00:00", "active", "attached"], "VF 1")
sh(f"devlink port function set {nic.handle}/129 hw_addr 02:11:22:33:44:55")
sh(f"devlink port function set {nic.handle}/129 state inactive")
if "roce" in function:  # iproute2 knows these since 6.2
    equal((function["roce"], function["migratable"]), ("enable", "disable"), "VF 1")
    sh(f"devlink port function set {nic.handle}/129 roce disable")
    sh(f"devlink port function set {nic.handle}/129 migratable enable")
    function = nic.port(129)["function"]
    equal((function["roce"], function["migratable"]), ("disable", "enable"), "VF 1")
function = nic.port(129)["function"]
equal([function[k] for k in ("hw_addr", "state", "opstate")], ["02:11:22:33:44:55", "inactive", "detached"], "VF 1")
equal(nic.port(128)["function"]["state"], "active", "VF 0 beside it")
vfs = query(f"ip -j link show {nic.uplink()}")[0]["vfinfo_list"]
equal([vf["address"] for vf in vfs][:2], ["00:00:00:00:00:00", "02:11:22:33:44:55"], "addresses at the PF")
said = sh(f"devlink port function set {nic.handle}/129 hw_addr 01:00:5e:00:00:01", ok=False)
assert "Non-unicast hardware address" in said, said
sh(f"devlink port function set {nic.handle}/0 hw_addr 02:11:22:33:44:56", ok=False)

# Rates.
sh(f"devlink port function rate set {nic.handle}/128 tx_max 100mbit")
sh(f"devlink port function rate add {nic.handle}/gold tx_max 1gbit")
sh(f"devlink port function rate set {nic.handle}/128 parent gold")
sh(f"devlink port function rate set {nic.handle}/128 noparent")
sh(f"devlink port function rate del {nic.handle}/gold")

# A change of mode that fails (ENODEV here) leaves the mode as it was; the next one succeeds.
nic.lab("mode_error", 19)
said = sh(f"devlink dev eswitch set {nic.handle} mode legacy", ok=False)
assert "the lab refuses this change of mode" in said, said
equal(nic.eswitch()["mode"], "switchdev", "mode after the failure")
equal(len(nic.ports()), 6, "ports after the failure")

nic.set_mode("legacy")
equal(nic.eswitch()["mode"], "legacy", "mode")
equal(sorted(nic.ports()), [0, 1], "ports back in legacy")
nic.set_vfs(0)

# Many VFs.
nic.debug.joinpath("max_vfs").write_text("128")
nic.switchdev(128)
equal(len(nic.ports()), 130, "ports with 128 VFs")
nic.remove()
