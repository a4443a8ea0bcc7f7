"""shuntctl takes a NIC from legacy without VFs to switchdev with four, attached to a bridge and set, and back; each step
twice. Looked at with iproute2."""
# lab: memory 1536
# lab: needs shuntd shuntctl
# lab: real eswitch

import labkit
from labkit import Port, equal, eventually, hardware, offloads, query, sh, udp
from shunt import Shunt

VFS = 4
nic = labkit.nic(max_vfs=8)
pf = nic.handle
shunt = Shunt()
shunt("bridge", "add", "br0")


def twice(*args):
    """The second time there is nothing to do."""
    done = shunt(*args)
    assert done != "nothing to do", args
    equal(shunt(*args), "nothing to do", f"again: {' '.join(args)}")


def link(name, more=""):
    return query(f"ip -d {more} -j link show {name}")[0]


def vf_of(n):
    """A VF as the PF tells of it."""
    return link(nic.uplink())["vfinfo_list"][n]


# Up: the mode, VFs, and what their representors have in common.
equal(nic.mode(), "legacy", "mode at first")
# Most NICs have one inline mode only.
inline = ("--inline-mode", "transport") if nic.simulated else ()
twice("eswitch", "set", pf, "--mode", "switchdev", "--vfs", str(VFS), "--encap-mode", "none", *inline,
      "--representors", "up", "--representor-mtu", "1600", "--hw-tc-offload", "on")
eswitch = nic.eswitch()
equal((eswitch["mode"], eswitch["encap-mode"]), ("switchdev", "none"), "eswitch")
assert not inline or eswitch["inline-mode"] == "transport", eswitch
equal(nic.vfs(), VFS, "VFs")
reps = nic.representors(VFS)
for n, name in enumerate(reps):
    rep = link(name)
    equal((rep["phys_port_name"], rep["mtu"], "UP" in rep["flags"]), (f"pf0vf{n}", 1600, True), name)
    assert offloads(name), name

# The kernel takes rules into the hardware of each, and of none whose offload is off.
RULE = "ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop"
for name in reps:
    equal(query(f"tc -j qdisc show dev {name} ingress"), [], f"{name}: nobody's queueing discipline")
    sh(f"tc qdisc add dev {name} clsact")
    sh(f"tc filter add dev {name} {RULE}")
    equal(hardware(name, 1), (0, 0), f"{name}: a rule in hardware")
    sh(f"tc filter del dev {name} ingress pref 1")
shunt("eswitch", "set", pf, "--hw-tc-offload", "off")
equal([offloads(name) for name in reps], [False] * VFS, "offload off")
sh(f"tc filter add dev {reps[0]} {RULE}", ok=False)
twice("eswitch", "set", pf, "--hw-tc-offload", "on")
sh(f"tc filter add dev {reps[0]} {RULE}")
for name in reps:
    sh(f"tc qdisc del dev {name} clsact")

# Settings of VFs.
twice("vf", "set", f"{pf}/pf0vf0", "--mac", "02:11:22:33:44:50")
equal(nic.vf_port(0)["function"]["hw_addr"], "02:11:22:33:44:50", "address at the port's function")
twice("vf", "set", f"{pf}/pf0vf2", "--min-rate", "10", "--max-rate", "500")
rate = nic.vf_rate(2)
equal((rate["tx_share"], rate["tx_max"]), (10 * 125000, 500 * 125000), "VF 2's rate, bytes a second")
if nic.simulated:  # NICs have these in legacy only
    twice("vf", "set", f"{pf}/pf0vf0", "--vlan", "100", "--qos", "3")
    twice("vf", "set", f"{pf}/pf0vf1", "--trust", "on", "--spoof-check", "on", "--link-state", "enable")
    equal((vf_of(0)["address"], vf_of(0)["vlan_list"]), ("02:11:22:33:44:50", [{"vlan": 100, "qos": 3}]), "VF 0")
    equal((vf_of(1)["trust"], vf_of(1)["spoofchk"], vf_of(1)["link_state"]), (True, True, "enable"), "VF 1")

# Representors as ports of a bridge. Packets pass from one VM to the other.
for n in range(VFS):
    for _ in range(2):
        shunt("rep", "attach", f"{pf}/pf0vf{n}", "br0", "--name", f"pf0vf{n}", "--path", "kernel")
ports = {port["name"]: port for port in shunt.json("port", "list")}
equal(sorted(ports), [f"pf0vf{n}" for n in range(VFS)], "ports")
equal({port["state"] for port in ports.values()}, {"up"}, "states of ports")
one, other = (Port(end) for end in nic.vm_ends(VFS)[:2])
frame = udp(eth_dst="ff:ff:ff:ff:ff:ff", dport=4711)


def arrives():
    one.send(frame)
    return frame in other.drain()


eventually(arrives, what="a frame from VM to VM through br0")

# Down: ports stay and wait, the eswitch is as it was.
shunt("rep", "detach", f"{pf}/pf0vf3")
assert "pf0vf3" in shunt.refused("rep", "detach", f"{pf}/pf0vf3")
twice("eswitch", "set", pf, "--mode", "legacy", "--vfs", "0")
equal((nic.mode(), nic.vf_ports(), nic.vfs()), ("legacy", {}, 0), "mode, ports and VFs at last")
equal({port["state"] == "up" for port in shunt.json("port", "list")}, {False}, "ports without representors")

# And up again: the ports come back by themselves.
shunt("eswitch", "set", pf, "--mode", "switchdev", "--vfs", str(VFS), "--representors", "up")
eventually(lambda: [port["state"] for port in shunt.json("port", "list")] == ["up"] * 3, what="ports are back")
shunt("eswitch", "set", pf, "--mode", "legacy", "--vfs", "0")
assert "panicked" not in shunt.log()
