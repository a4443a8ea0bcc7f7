"""Two uplinks of one switch under a bond: one block of rules for both, in hardware twice; packets of either count."""

from labkit import Netdevsim, Port, equal, eventually, query, sh, udp, wire

nic, far = Netdevsim(1, 2), Netdevsim(2, 3)
rep = nic.switchdev(1)[0]
uplinks = [nic.uplink(n) for n in range(2)]
wires = [far.uplink(n) for n in range(2)]
vf_end = far.uplink(2)
for one, other in zip((*uplinks, rep), (*wires, vf_end)):
    wire(one, other)

sh("modprobe bonding max_bonds=0")
sh("ip link add bond0 type bond mode active-backup miimon 100")
for uplink in uplinks:
    sh(f"ip link set {uplink} down")
    sh(f"ip link set {uplink} master bond0")
sh("ip link set bond0 up")
eventually(lambda: all("LOWER_UP" in query(f"ip -j link show {name}")[0]["flags"] for name in wires), what="cables up")
for uplink in uplinks:
    sh(f"tc qdisc add dev {uplink} ingress_block 7 clsact")

# A bond by itself is not offloaded.
sh("tc qdisc add dev bond0 clsact")
sh("tc filter add dev bond0 ingress protocol ip flower skip_sw dst_ip 10.0.0.2 action drop", ok=False)

sh(f"tc filter add block 7 pref 1 protocol ip flower skip_sw dst_ip 10.0.0.2 action mirred egress redirect dev {rep}")


def rule():
    found = query("tc -j -s filter show block 7")
    return next(entry["options"] for entry in found if "keys" in entry.get("options", {}))


equal(rule()["in_hw_count"], 2, "in hardware")
vf = Port(vf_end)
for n, name in enumerate(wires):
    Port(name).send(udp(), 3 + n)
got = [frame for frame in vf.expect(7) if frame == udp()]
equal(len(got), 7, "at the VF, of both cables")
stats = rule()["actions"][0]["stats"]
equal((stats["hw_packets"], stats["hw_bytes"]), (7, 700), "packets and bytes of both")
