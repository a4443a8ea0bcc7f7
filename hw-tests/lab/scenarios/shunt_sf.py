"""shuntctl makes sub-functions, sets them, attaches one to a bridge and destroys them; another one is somebody else's. Looked at
with devlink and ip."""
# lab: memory 1536
# lab: needs shuntd shuntctl

from labkit import Netdevsim, Port, equal, eventually, query, sh, udp, wire
from shunt import Shunt

nic, far = Netdevsim(1), Netdevsim(2, 2)
pf = nic.handle
shunt = Shunt()
shunt("bridge", "add", "br0")


def sfs():
    """The devlink ports of SFs, by number."""
    return {port["sfnum"]: dict(port, index=index) for index, port in nic.ports().items() if port["flavour"] == "pcisf"}


def function(number):
    """Address, state and state of the driver of an SF, as devlink tells them."""
    told = nic.port(sfs()[number]["index"])["function"]
    return [told[name] for name in ("hw_addr", "state", "opstate")]


def rep(number):
    return query(f"ip -d -j link show {sfs()[number]['netdev']}")[0]


def twice(*args):
    """The second time there is nothing to do."""
    done = shunt(*args)
    assert done != "nothing to do", args
    equal(shunt(*args), "nothing to do", f"again: {' '.join(args)}")


# In legacy there are none: the refusal says what to do.
said = shunt.refused("sf", "create", pf, "88")
assert "no sub-functions in mode legacy" in said and f"shuntctl eswitch set {pf} --mode switchdev" in said, said
shunt("eswitch", "set", pf, "--mode", "switchdev", "--vfs", "1")

# One active, one not; a third one is made by hand.
shunt("sf", "create", pf, "88", "--mac", "02:11:22:33:44:88", "--dry-run")
equal(sfs(), {}, "SFs after a dry run")
twice("sf", "create", pf, "88", "--mac", "02:11:22:33:44:88")
twice("sf", "create", pf, "7", "--inactive")
sh(f"devlink port add {pf} flavour pcisf pfnum 0 sfnum 5")
equal(sorted(sfs()), [5, 7, 88], "SFs")
equal(function(88), ["02:11:22:33:44:88", "active", "attached"], "SF 88")
equal(function(7)[1:], ["inactive", "detached"], "SF 7")
equal(rep(88)["phys_port_name"], "pf0sf88", "its representor")

# Settings: another address by way of inactive, the representor up.
twice("sf", "set", "pf0sf88", "--mac", "02:11:22:33:44:99", "--up", "on")
equal((function(88), "UP" in rep(88)["flags"]), (["02:11:22:33:44:99", "active", "attached"], True), "SF 88, set")
twice("sf", "set", "pf0sf7", "--active", "on")
equal(function(7)[1:], ["active", "attached"], "SF 7, active")

# What shuntctl lists is what devlink says.
for row in shunt.json("sf", "list", pf):
    told = sfs()[row["sf"]]
    address, state, opstate = function(row["sf"])
    equal((row["name"], row["mac"], row["active"], row["attached"], row["representor"], row["desired"]),
          (f"pf0sf{row['sf']}", address, state == "active", opstate == "attached", told["netdev"], row["sf"] != 5),
          f"SF {row['sf']}")

# A representor as a port: what is sent into it from behind leaves by the other port.
shunt("rep", "attach", "pf0sf88", "br0")
shunt("rep", "attach", "pf0vf0", "br0")
equal(sorted(port["name"] for port in shunt.json("port", "list")), ["pf0sf88", "pf0vf0"], "ports")
equal({port["state"] for port in shunt.json("port", "list")}, {"up"}, "states of ports")
ends = [far.uplink(n) for n in range(2)]
for name, end in zip((sfs()[88]["netdev"], nic.representors(1)[0]), ends):
    wire(name, end)
one, other = (Port(end) for end in ends)
frame = udp(eth_dst="ff:ff:ff:ff:ff:ff", dport=4711)


def arrives():
    one.send(frame)
    return frame in other.drain()


eventually(arrives, what="a frame from SF to VF through br0")

# Somebody takes one of ours away: told, and mended when asked for. His own stays his.
sh(f"devlink port del {pf}/{sfs()[7]['index']}")
eventually(lambda: shunt.json("nic", "list")[0]["state"] == "not as desired", 5, what="noticed")
shunt("nic", "converge", pf)
equal((sorted(sfs()), function(7)[1]), ([5, 7, 88], "active"), "SFs, mended")

# A daemon that starts anew makes them again: what is desired is on disk.
shunt.kill()
sh(f"devlink port del {pf}/{sfs()[88]['index']}")
shunt.start()
equal(function(88), ["02:11:22:33:44:99", "active", "attached"], "SF 88 after a start")
eventually(lambda: {port["state"] for port in shunt.json("port", "list")} == {"up"}, what="ports are up")

# More VFs, for which netdevsim leaves switchdev: all SFs survive, also the one that nobody here made.
before = {number: function(number) for number in sfs()}
shunt("vf", "create", pf, "2")
equal({number: function(number) for number in sfs()}, before, "SFs after VFs were made anew")

# Gone, one by one; the port waits.
twice_gone = shunt("sf", "destroy", "pf0sf88")
assert "port pf0sf88 waits" in twice_gone, twice_gone
assert "pf0sf88" in shunt.refused("sf", "destroy", "pf0sf88")
shunt("sf", "destroy", "pf0sf7")
equal(sorted(sfs()), [5], "SFs at last")
shunt("eswitch", "set", pf, "--mode", "legacy", "--vfs", "0")
equal(sorted(nic.ports()), [0], "ports in legacy")
assert "panicked" not in shunt.log()
